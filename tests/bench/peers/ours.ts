import type * as rpc from "../../../lib/rpc.ts";
import { closedLoop, type Load, type Peer } from "../peer.ts";

/** This library, all guarantees on. */
export function ours({ procedure, RpcClient, RpcServer, text }: typeof rpc, replies: "queue" | "direct"): Peer {
  function echo({ queue, queueKind }: Load): rpc.Procedure<string, string, string, string> {
    return procedure({ queue, queueType: queueKind, request: text(), reply: text() });
  }
  return {
    async serve(load) {
      const server = await RpcServer.connect(load.url);
      await server.serve(echo(load), (request) => request, { prefetch: load.prefetch });
    },
    async connect(load) {
      const client = await RpcClient.connect(load.url, { replies });
      const procedure = echo(load);
      return closedLoop(load, (request) => client.call(procedure, request));
    },
  };
}
