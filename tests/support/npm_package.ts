/**
 * The package as npm has it: TypeScript is transpiled, and its dependencies are those of npm.
 *
 * @module
 */

import { SetupError } from "./install.ts";

const ROOT = new URL("../../", import.meta.url);

/** A project that has the package among its `node_modules`. */
export interface NpmProject extends AsyncDisposable {
  readonly folder: string;
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args: [...args], cwd: ROOT }).output();
  if (!success) throw new SetupError(`Cannot pack the library: ${new TextDecoder().decode(stderr).trim()}`);
}

/** Packs the library, and writes a project that uses it: `tests/node/package.mjs`. */
export async function npmProject(): Promise<NpmProject> {
  const folder = await Deno.makeTempDir();
  const scope = `${folder}/node_modules/@rabbitmq-rpc`;
  await Deno.mkdir(scope, { recursive: true });
  await run(Deno.execPath(), ["pack", "--quiet", "--allow-dirty", "--output", `${folder}/package.tgz`]);
  await run("tar", ["-xzf", `${folder}/package.tgz`, "-C", scope]);
  await Deno.rename(`${scope}/package`, `${scope}/rpc`);
  const { dependencies } = JSON.parse(await Deno.readTextFile(`${scope}/rpc/package.json`));
  for (const name of Object.keys(dependencies).filter((name) => !name.startsWith("@jsr/"))) {
    const link = `${folder}/node_modules/${name}`;
    await Deno.mkdir(link.slice(0, link.lastIndexOf("/")), { recursive: true });
    await Deno.symlink(new URL(`node_modules/${name}`, ROOT), link);
  }
  for (const file of ["package.mjs", "package_worker.mjs"]) {
    await Deno.copyFile(new URL(`tests/node/${file}`, ROOT), `${folder}/${file}`);
  }
  return { folder, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}
