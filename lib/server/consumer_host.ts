import type { Connection } from "../connection/connection.ts";
import type { Interceptor } from "../contract/interceptor.ts";
import type { ServerEvent } from "../events/server_event.ts";
import type { ByteString } from "../wire/byte_string.ts";
import type { RequestMeta } from "../wire/request_message.ts";
import type { AbsentCallers } from "./absent_callers.ts";
import type { DirectReplyPublisher } from "./direct_reply_publisher.ts";
import type { GuardHost } from "./overload_guard.ts";
import type { ReplyPublisher } from "./reply_publisher.ts";
import type { ContextHost, RunningRequest } from "./running_request.ts";
import type { StallDetector } from "./stall_detector.ts";

/** What a consumer needs from its server. */
export interface ConsumerHost extends ContextHost, GuardHost {
  readonly connection: Connection;
  readonly replies: ReplyPublisher;
  readonly directReplies: DirectReplyPublisher;
  /** Whether replies may go to this address. */
  acceptsReplyTo(name: ByteString): boolean | Promise<boolean | undefined>;
  /** Which callers have left. */
  readonly absent: AbsentCallers;
  /** Whether the caller has canceled this call. */
  isCanceled(queue: string, id: ByteString): boolean;
  readonly stalls: StallDetector<RunningRequest>;
  /** How long a request had waited at least when it arrived, in ms. */
  waited(meta: RequestMeta, arrivedAt: number, arrivedAfter: number): number;
  readonly interceptors: readonly Interceptor[];
  /** Whether `handled` is to be emitted at the end of a request. */
  readonly listens: boolean;
  emit(event: ServerEvent): void;
  /** It receives requests now, or no more. */
  consumingChanged(): void;
}
