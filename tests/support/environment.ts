/** The environment as a test wants it, whatever permissions it has, until it is disposed of. */
export function environment(variables: Readonly<Record<string, string>>, granted = true): Disposable {
  Object.defineProperty(Deno.env, "get", { value: (name: string) => variables[name], configurable: true });
  const querySync = ({ name }: Deno.PermissionDescriptor) => ({
    state: granted && name === "env" ? "granted" : "prompt",
  });
  Object.defineProperty(Deno.permissions, "querySync", { value: querySync, configurable: true });
  const { get } = ENV;
  return {
    [Symbol.dispose]() {
      Object.defineProperty(Deno.env, "get", { value: get, configurable: true, writable: true });
      Reflect.deleteProperty(Deno.permissions, "querySync");
    },
  };
}

const ENV = { get: Deno.env.get };
