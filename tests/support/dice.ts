/** Makes `Math.random()` give `share` until it is disposed of: delays that are drawn at random are then known. */
export function dice(share: number): Disposable {
  const { random } = Math;
  Math.random = () => share;
  return { [Symbol.dispose]: () => Math.random = random };
}
