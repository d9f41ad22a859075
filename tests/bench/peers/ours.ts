import type * as rpc from "../../../lib/rpc.ts";
import { closedLoop, type Load, type Peer } from "../peer.ts";

/** What calls of this library are measured with. */
export interface OursOptions {
  /** Where replies are sent. */
  readonly replies?: "queue" | "direct";
  /** Whether each call has two headers, which the handler reads. */
  readonly headers?: boolean;
  /** Interceptors of both sides. */
  readonly interceptors?: readonly [client: rpc.Interceptor, server: rpc.Interceptor] | undefined;
}

/** Two headers, with values of 20 bytes. */
const HEADERS = { "tenant": "acme-industries-east", "request-id": "0123456789abcdef0123" } as const;

/** This library, all guarantees on. */
export function ours({ procedure, RpcClient, RpcServer, text }: typeof rpc, options: OursOptions = {}): Peer {
  const { replies = "queue", headers = false, interceptors = [] } = options;
  const [ofClient, ofServer] = interceptors;

  function echo({ queue, queueKind }: Load): rpc.Procedure<string, string, string, string> {
    return procedure({ queue, queueType: queueKind, request: text(), reply: text() });
  }

  function echoWithHeaders(request: string, { headers }: rpc.RequestContext): string {
    if (headers["tenant"] !== HEADERS.tenant) throw new Error("The headers are missing");
    return request;
  }

  return {
    async serve(load) {
      const server = await RpcServer.connect(load.url, ofServer === undefined ? {} : { interceptors: [ofServer] });
      const handler = headers ? echoWithHeaders : (request: string) => request;
      await server.serve(echo(load), handler, { prefetch: load.prefetch });
    },
    async connect(load) {
      const client = await RpcClient.connect(load.url, {
        replies,
        ...(ofClient === undefined ? {} : { interceptors: [ofClient] }),
      });
      const procedure = echo(load);
      if (headers) return closedLoop(load, (request) => client.call(procedure, request, { headers: HEADERS }));
      return closedLoop(load, (request) => client.call(procedure, request));
    },
  };
}
