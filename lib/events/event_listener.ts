/**
 * Calls a listener. What it throws, or rejects with later, is logged and ignored, so that it cannot close a channel or end
 * the process.
 */
export function emitTo<Event>(listener: (event: Event) => unknown, event: Event): void {
  try {
    const result = listener(event);
    if (typeof result === "object" && result !== null) {
      Promise.resolve(result).catch((error) => console.error("The onEvent listener rejected:", error));
    }
  } catch (error) {
    console.error("The onEvent listener threw:", error);
  }
}

/** Refuses a listener that cannot be called. */
export function checkListener(listener: unknown): void {
  if (typeof listener !== "function") throw new TypeError("Cannot connect: 'onEvent' must be a function of the event");
}
