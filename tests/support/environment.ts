import process from "node:process";

/**
 * The environment as a test wants it, whatever permissions it has, until it is disposed of.
 *
 * @param granted Whether it may be read.
 */
export function environment(variables: Readonly<Record<string, string>>, granted = true): Disposable {
  const original = Object.getOwnPropertyDescriptor(process, "env") ?? {};
  const refused = new Proxy({}, {
    get(_target, name) {
      throw new Deno.errors.NotCapable(`Requires env access to "${String(name)}"`);
    },
  });
  Object.defineProperty(process, "env", { value: granted ? variables : refused, configurable: true });
  return { [Symbol.dispose]: () => Object.defineProperty(process, "env", original) };
}
