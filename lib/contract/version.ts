/** The version of this library, as in deno.json: RabbitMQ's tools show it for every connection. */
export const VERSION = "0.2.0";
