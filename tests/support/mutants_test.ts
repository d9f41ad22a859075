import { assert, assertEquals } from "@std/assert";
import type { Mutant } from "./mutants.ts";

// TypeScript reads the environment when it is loaded: ignored by a plain "deno test".
const ignore = Deno.permissions.querySync({ name: "env" }).state !== "granted";
const module = ignore ? undefined : await import("./mutants.ts");

function found(text: string): Mutant[] {
  return module?.findMutants(text) ?? [];
}

/** Every text that one change makes of `text`. */
function changed(text: string): string[] {
  return found(text).map((mutant) => module?.applyMutant(text, mutant) ?? "");
}

function whats(text: string): string[] {
  return found(text).map(({ what }) => what);
}

Deno.test("A comparison gets its boundary moved and its opposite", { ignore }, () => {
  assertEquals(changed("x = a < b"), [";", "x = a <= b", "x = a >= b"]);
  assertEquals(changed("f = a === b"), [";", "f = a !== b"]);
});

Deno.test("Arithmetic, logical and bitwise operators become others", { ignore }, () => {
  assertEquals(changed("let x = a + b"), ["let x = a - b"]);
  assertEquals(changed("let x = a && b"), ["let x = a || b"]);
  assertEquals(changed("let x = a & b"), ["let x = a | b"]);
  assertEquals(changed("let x = a >>> b"), ["let x = a << b"]);
  assertEquals(changed("let x = a ?? b"), ["let x = a "]);
  assertEquals(changed("let x = a ||= b"), ["let x = a = b"]);
  assertEquals(changed("let x = i++"), ["let x = i--"]);
  assertEquals(changed("let x = --i"), ["let x = ++i"]);
  assertEquals(changed("let x = true"), ["let x = false"]);
  assertEquals(changed("let x = false"), ["let x = true"]);
  assertEquals(changed("let x = !a"), ["let x =  a"]);
});

Deno.test("A bound moves by one in both directions", { ignore }, () => {
  assertEquals(changed("let x = 1_000"), ["let x = 1001", "let x = 999"]);
  assertEquals(changed("let x = a[0]"), ["let x = a[1]", "let x = a[(-1)]"]);
  assertEquals(changed("let x = -0xffn"), ["let x = -256n", "let x = -254n"]);
  assertEquals(changed("let x = { 1: a }"), []);
  assertEquals(changed("let x = { a: 1 }"), ["let x = { a: 2 }", "let x = { a: 0 }"]);
  assertEquals(changed("let x = 2e300"), []);
});

Deno.test("A condition is negated unless its operator already has an opposite", { ignore }, () => {
  assertEquals(changed("while (a) {}"), ["while (!(a)) {}"]);
  assertEquals(changed("while (a !== b) {}"), ["while (a === b) {}"]);
  assertEquals(changed("while (!a) {}"), ["while ( a) {}"]);
  assertEquals(changed("while (true) {}"), ["while (false) {}"]);
  assertEquals(changed("while (-a) {}"), ["while (!(-a)) {}", "while ( a) {}"]);
  assertEquals(changed("for (; a;) {}"), ["for (; !(a);) {}"]);
  assertEquals(changed("let x = a ? b : c"), ["let x = !(a) ? b : c"]);
  assertEquals(whats("if (a) b(); else c();"), ["branches swapped", "statement removed", "statement removed"]);
});

Deno.test("The body of an if is removed once", { ignore }, () => {
  assertEquals(changed("if (a) { b(); c(); }"), [
    "if (!(a)) { b(); c(); }",
    "if (a) {}",
    "if (a) { ; c(); }",
    "if (a) { b(); ; }",
  ]);
  assertEquals(changed("if (a) { b(); }"), ["if (!(a)) { b(); }", "if (a) { ; }"]);
  assertEquals(changed("if (a) {} else ;"), ["if (!(a)) {} else ;"]);
  assertEquals(whats("if (a) { let x = b; } else { let x = c; }"), [
    "branches swapped",
    "body of 'if' removed",
    "body of 'else' removed",
  ]);
});

Deno.test("An early return is removed, the last one is not", { ignore }, () => {
  assertEquals(changed("function f() { if (a) return b; return c; }"), [
    "function f() { if (!(a)) return b; return c; }",
    "function f() { if (a) ; return c; }",
  ]);
  assertEquals(changed("for (const a of b) { continue; }"), ["for (const a of b) { ; }"]);
});

Deno.test("Types, imports, texts, optional chains and what is printed are left alone", { ignore }, () => {
  for (
    const text of [
      "type Bit = 0 | 1;",
      "interface Sized { readonly size: 1 | true }",
      "declare const limit: 5;",
      "let x = y as 0 | 1;",
      'import a from "b";',
      'export { a } from "b";',
      '"use strict";',
      'let x = ("a" + b) + c;',
      'let x = y += "a";',
      "let x = a?.b?.[c];",
      "console.log(a < b ? 1 : 2);",
      "class A extends B { constructor() { super(); } }",
      "for (;;) {}",
    ]
  ) assertEquals(changed(text), [], text);
});

Deno.test("Changes come in the order of the text", { ignore }, () => {
  assertEquals(changed("let x = (a - b) * c"), ["let x = (a + b) * c", "let x = (a - b) / c"]);
});

Deno.test("The step of a for loop is left alone, its start and its end are not", { ignore }, () => {
  assertEquals(changed("for (let i = 0; i < n; i++) {}"), [
    "for (let i = 1; i < n; i++) {}",
    "for (let i = (-1); i < n; i++) {}",
    "for (let i = 0; i <= n; i++) {}",
    "for (let i = 0; i >= n; i++) {}",
  ]);
});

Deno.test("Every change of a program can be parsed, and differs from all others", { ignore }, async () => {
  const { default: ts } = await import("typescript");
  const text = `
    export class Counter<T extends 1 | 2> {
      #count = 0;
      add(step = -1, ...more: readonly number[]): bigint | undefined {
        if (step < 0 && !(step in more)) throw new RangeError(\`Cannot add \${step - 1}\`);
        else if (more.length) { this.#count += more[0] ?? 5 - -step; return -1n; } else this.#count--;
        outer: for (const one of more) {
          switch (one % 2) { case 0: continue outer; default: break outer; }
        }
        do this.#count <<= 1; while (~step && true);
        try { return step ? 0n : undefined; } finally { console.error(step + 1); void step; }
      }
    }`;
  const texts = changed(text);
  assert(texts.length > 40, `${texts.length}`);
  assertEquals(new Set([text, ...texts]).size, texts.length + 1);
  for (const source of texts) {
    const { diagnostics } = ts.transpileModule(source, { reportDiagnostics: true });
    assertEquals(diagnostics?.map(({ messageText }) => messageText), [], source);
  }
});
