/**
 * For `deno test --preload`: makes the library read and write all frames with amqplib, as it does where amqplib is not
 * as `lib/connection/frame_transport.ts` expects it.
 *
 * @module
 */

import { frameTransport } from "../../lib/connection/frame_transport.ts";

frameTransport.enabled = false;
