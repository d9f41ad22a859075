/**
 * Finds the small changes that can be made to a source text, for `mutate.ts`. Pure: no file is read or written.
 *
 * @module
 */

import ts from "typescript";

/** One change to a source text. */
export interface Mutant {
  /** Where the replaced text begins, counted in UTF-16 code units from 0. */
  readonly start: number;
  /** Where the replaced text ends. */
  readonly end: number;
  /** What stands there instead. */
  readonly replacement: string;
  /** What changed, in words: `'<' became '<='`. */
  readonly what: string;
}

const { SyntaxKind } = ts;

/** What each operator becomes; of a comparison the boundary first, then the opposite. */
const OPERATORS: ReadonlyMap<ts.SyntaxKind, readonly string[]> = new Map([
  [SyntaxKind.LessThanToken, ["<=", ">="]],
  [SyntaxKind.LessThanEqualsToken, ["<", ">"]],
  [SyntaxKind.GreaterThanToken, [">=", "<="]],
  [SyntaxKind.GreaterThanEqualsToken, [">", "<"]],
  [SyntaxKind.EqualsEqualsToken, ["!="]],
  [SyntaxKind.ExclamationEqualsToken, ["=="]],
  [SyntaxKind.EqualsEqualsEqualsToken, ["!=="]],
  [SyntaxKind.ExclamationEqualsEqualsToken, ["==="]],
  [SyntaxKind.AmpersandAmpersandToken, ["||"]],
  [SyntaxKind.BarBarToken, ["&&"]],
  [SyntaxKind.PlusToken, ["-"]],
  [SyntaxKind.MinusToken, ["+"]],
  [SyntaxKind.AsteriskToken, ["/"]],
  [SyntaxKind.SlashToken, ["*"]],
  [SyntaxKind.PercentToken, ["*"]],
  [SyntaxKind.AsteriskAsteriskToken, ["*"]],
  [SyntaxKind.AmpersandToken, ["|"]],
  [SyntaxKind.BarToken, ["&"]],
  [SyntaxKind.CaretToken, ["&"]],
  [SyntaxKind.LessThanLessThanToken, [">>"]],
  [SyntaxKind.GreaterThanGreaterThanToken, ["<<"]],
  [SyntaxKind.GreaterThanGreaterThanGreaterThanToken, ["<<"]],
  [SyntaxKind.PlusEqualsToken, ["-="]],
  [SyntaxKind.MinusEqualsToken, ["+="]],
  [SyntaxKind.AsteriskEqualsToken, ["/="]],
  [SyntaxKind.SlashEqualsToken, ["*="]],
  [SyntaxKind.PercentEqualsToken, ["*="]],
  [SyntaxKind.AmpersandEqualsToken, ["|="]],
  [SyntaxKind.BarEqualsToken, ["&="]],
  [SyntaxKind.CaretEqualsToken, ["&="]],
  [SyntaxKind.LessThanLessThanEqualsToken, [">>="]],
  [SyntaxKind.GreaterThanGreaterThanEqualsToken, ["<<="]],
  [SyntaxKind.GreaterThanGreaterThanGreaterThanEqualsToken, ["<<="]],
  [SyntaxKind.BarBarEqualsToken, ["="]],
  [SyntaxKind.AmpersandAmpersandEqualsToken, ["="]],
  [SyntaxKind.QuestionQuestionEqualsToken, ["="]],
]);

/** Operators whose opposite is one of their replacements, so that negating them adds nothing. */
const COMPARISONS: ReadonlySet<ts.SyntaxKind> = new Set([
  SyntaxKind.LessThanToken,
  SyntaxKind.LessThanEqualsToken,
  SyntaxKind.GreaterThanToken,
  SyntaxKind.GreaterThanEqualsToken,
  SyntaxKind.EqualsEqualsToken,
  SyntaxKind.ExclamationEqualsToken,
  SyntaxKind.EqualsEqualsEqualsToken,
  SyntaxKind.ExclamationEqualsEqualsToken,
]);

/** Finds the changes to one source text, in the order of the text. */
class Finder {
  readonly found: Mutant[] = [];
  readonly #source: ts.SourceFile;

  constructor(text: string) {
    this.#source = ts.createSourceFile("source.ts", text, ts.ScriptTarget.Latest, true);
    this.#visit(this.#source);
  }

  /** Replaces `node`, or what lies from its start to the end of `last`. */
  #add(node: ts.Node, replacement: string, what: string, last = node): void {
    this.found.push({ start: node.getStart(this.#source), end: last.getEnd(), replacement, what });
  }

  #visit(node: ts.Node): void {
    if (isUntouched(node)) return;
    if (ts.isBinaryExpression(node)) this.#operator(node);
    else if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) this.#unary(node);
    else if (ts.isNumericLiteral(node)) this.#bound(node, Number(node.text), "");
    else if (ts.isBigIntLiteral(node)) this.#bound(node, BigInt(node.text.slice(0, -1)), "n");
    else if (node.kind === SyntaxKind.TrueKeyword) this.#add(node, "false", "'true' became 'false'");
    else if (node.kind === SyntaxKind.FalseKeyword) this.#add(node, "true", "'false' became 'true'");
    else if (ts.isConditionalExpression(node)) this.#condition(node.condition, "branches swapped");
    else if (ts.isIfStatement(node)) this.#branches(node);
    else if (ts.isWhileStatement(node) || ts.isDoStatement(node)) this.#condition(node.expression);
    else if (ts.isForStatement(node)) {
      if (node.condition !== undefined) this.#condition(node.condition);
      // Another step mostly makes the loop endless, which costs the whole time limit and is always noticed.
      for (const part of [node.initializer, node.condition, node.statement]) if (part !== undefined) this.#visit(part);
      return;
    } else if (isRemovable(node)) this.#add(node, ";", "statement removed");
    ts.forEachChild(node, (child) => this.#visit(child));
  }

  #operator({ left, operatorToken, right }: ts.BinaryExpression): void {
    const { kind } = operatorToken;
    if (kind === SyntaxKind.QuestionQuestionToken) {
      this.#add(operatorToken, "", "default after '??' removed", right);
    }
    // Less than a text would be NaN: that is a change of the text, and texts are left alone.
    const joinsText = kind === SyntaxKind.PlusToken || kind === SyntaxKind.PlusEqualsToken;
    if (joinsText && (isText(left) || isText(right))) return;
    for (const replacement of OPERATORS.get(kind) ?? []) {
      this.#add(operatorToken, replacement, `'${operatorToken.getText(this.#source)}' became '${replacement}'`);
    }
  }

  #unary(node: ts.PrefixUnaryExpression | ts.PostfixUnaryExpression): void {
    const { operator, operand } = node;
    if (operator === SyntaxKind.PlusPlusToken || operator === SyntaxKind.MinusMinusToken) {
      const [from, to] = operator === SyntaxKind.PlusPlusToken ? ["++", "--"] : ["--", "++"];
      const name = operand.getText(this.#source);
      this.#add(node, ts.isPrefixUnaryExpression(node) ? to + name : name + to, `'${from}' became '${to}'`);
    } else if (operator !== SyntaxKind.PlusToken && !ts.isNumericLiteral(operand) && !ts.isBigIntLiteral(operand)) {
      this.#add(node, ` ${operand.getText(this.#source)}`, `'${ts.tokenToString(operator)}' removed`);
    }
  }

  #bound(node: ts.Node, value: number | bigint, suffix: string): void {
    // Names of properties are no bounds.
    if (ts.isPropertyAssignment(node.parent) && node.parent.name === node) return;
    const neighbours = typeof value === "bigint" ? [value + 1n, value - 1n] : [value + 1, value - 1];
    for (const neighbour of neighbours) {
      const written = `${neighbour}${suffix}`;
      // Beyond 2 ** 53 a number is its own neighbour.
      if (neighbour === value) continue;
      this.#add(node, neighbour < 0 ? `(${written})` : written, `${node.getText(this.#source)} became ${written}`);
    }
  }

  #condition(condition: ts.Expression, what = "condition negated"): void {
    const negatedElsewhere = ts.isBinaryExpression(condition) && COMPARISONS.has(condition.operatorToken.kind) ||
      ts.isPrefixUnaryExpression(condition) && condition.operator === SyntaxKind.ExclamationToken ||
      condition.kind === SyntaxKind.TrueKeyword || condition.kind === SyntaxKind.FalseKeyword;
    if (!negatedElsewhere) this.#add(condition, `!(${condition.getText(this.#source)})`, what);
  }

  #branches({ expression, thenStatement, elseStatement }: ts.IfStatement): void {
    this.#condition(expression, elseStatement === undefined ? "condition negated" : "branches swapped");
    // A body of one removable statement has the same mutant by itself.
    if (!isEmpty(thenStatement) && !isRemovable(onlyStatement(thenStatement))) {
      this.#add(thenStatement, "{}", "body of 'if' removed");
    }
    const chained = elseStatement !== undefined && ts.isIfStatement(elseStatement);
    if (elseStatement !== undefined && !chained && !isEmpty(elseStatement)) {
      if (!isRemovable(onlyStatement(elseStatement))) this.#add(elseStatement, "{}", "body of 'else' removed");
    }
  }
}

/** Whether nothing in here runs, or what runs is for human eyes alone. */
function isUntouched(node: ts.Node): boolean {
  if (ts.isExpressionStatement(node)) return isUntouched(node.expression);
  return ts.isTypeNode(node) || ts.isCallExpression(node) && isConsole(node.expression);
}

function isConsole(callee: ts.Expression): boolean {
  return ts.isPropertyAccessExpression(callee) && ts.isIdentifier(callee.expression) &&
    callee.expression.text === "console";
}

/** Whether an operand is a text for sure; what a variable holds is not known without types. */
function isText(node: ts.Expression): boolean {
  if (ts.isParenthesizedExpression(node)) return isText(node.expression);
  if (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) return true;
  return ts.isBinaryExpression(node) && node.operatorToken.kind === SyntaxKind.PlusToken &&
    (isText(node.left) || isText(node.right));
}

function onlyStatement(body: ts.Statement): ts.Statement | undefined {
  if (!ts.isBlock(body)) return body;
  return body.statements.length === 1 ? body.statements[0] : undefined;
}

function isEmpty(body: ts.Statement): boolean {
  return ts.isEmptyStatement(body) || ts.isBlock(body) && body.statements.length === 0;
}

/** Whether the program still parses, and starts, without this statement. */
function isRemovable(node: ts.Node | undefined): boolean {
  if (node === undefined) return false;
  if (ts.isExpressionStatement(node)) {
    // A removed super() only throws; a directive is no statement.
    const { expression } = node;
    const isSuper = ts.isCallExpression(expression) && expression.expression.kind === SyntaxKind.SuperKeyword;
    return !isSuper && !ts.isStringLiteral(expression) && !isUntouched(node);
  }
  if (ts.isReturnStatement(node) || ts.isThrowStatement(node)) return !isLastOfFunction(node);
  return ts.isContinueStatement(node) || ts.isBreakStatement(node);
}

/** Whether a statement is what its function is there for, and no early end of it. */
function isLastOfFunction(node: ts.Statement): boolean {
  return ts.isBlock(node.parent) && ts.isFunctionLike(node.parent.parent) && node.parent.statements.at(-1) === node;
}

/**
 * Finds every change of the kinds that are known: another operator, a bound one off, a negated condition, swapped
 * branches, a removed statement. Types, imports and what is printed on the console are left alone.
 *
 * @param text TypeScript.
 * @returns The changes, in the order of the text.
 */
export function findMutants(text: string): Mutant[] {
  return new Finder(text).found.sort((a, b) => a.start - b.start);
}

/** The text with one change made. */
export function applyMutant(text: string, { start, end, replacement }: Mutant): string {
  return text.slice(0, start) + replacement + text.slice(end);
}
