import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type Column, table, truncate, widthOf } from "../../../lib/cli/table.ts";
import { runs } from "../../support/runs.ts";

const COLUMNS: readonly Column[] = [
  { title: "NAME", align: "left", shrinks: true },
  { title: "CALLS", drop: 1 },
  { title: "P99" },
  { title: "MORE", align: "left", drop: 2 },
];

const ROWS = [["a rather long name", "1", "2 ms", "x"], ["b", "12,345", "-", "yy"]];

Deno.test("A table has its columns aligned", () => {
  assertEquals(table(COLUMNS, ROWS), [
    "NAME                 CALLS   P99  MORE",
    "a rather long name       1  2 ms  x",
    "b                   12,345     -  yy",
  ]);
});

Deno.test("Where it is too wide, the long column is cut off", () => {
  assertEquals(table(COLUMNS, ROWS, 36), [
    "NAME               CALLS   P99  MORE",
    "a rather long n…       1  2 ms  x",
    "b                 12,345     -  yy",
  ]);
});

Deno.test("Where it is still too wide, columns are left out, and the name is cut off further in the end", () => {
  assertEquals(table(COLUMNS, ROWS, 31), [
    "NAME               CALLS   P99",
    "a rather long n…       1  2 ms",
    "b                 12,345     -",
  ]);
  assertEquals(table(COLUMNS, ROWS, 20), ["NAME             P99", "a rather long…  2 ms", "b                  -"]);
  assertEquals(table(COLUMNS, ROWS, 5), ["NAME…", "a ra…", "b   …"]);
});

Deno.test("Wide characters count twice", () => {
  assertEquals(table([{ title: "N", align: "left" }, { title: "C" }], [["名前", "1"], ["ab", "2"]]), [
    "N     C",
    "名前  1",
    "ab    2",
  ]);
  assertEquals([truncate("名前です", 5), truncate("abc", 2), truncate("abc", 3), truncate("abc", 0)], [
    "名前…",
    "a…",
    "abc",
    "",
  ]);
});

Deno.test("No line is wider than it may be", () => {
  const cell = fc.stringMatching(/^[a-z名é😀 ]{0,30}$/u);
  const rows = fc.array(fc.tuple(cell, cell, cell, cell), { maxLength: 5 });
  fc.assert(
    fc.property(rows, fc.integer({ min: 1, max: 120 }), (texts, width) => {
      const lines = table(COLUMNS, texts, width);
      assertEquals(lines.length, texts.length + 1);
      for (const line of lines) assert(widthOf(line) <= width, `${JSON.stringify(line)} is wider than ${width}`);
    }),
    runs(2_000),
  );
});
