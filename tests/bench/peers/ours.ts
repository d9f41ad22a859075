import { type Procedure, procedure, RpcClient, RpcServer, text } from "../../../lib/rpc.ts";
import { closedLoop, type Load, type Peer } from "../peer.ts";

function echo({ queue, queueKind }: Load): Procedure<string, string, string, string> {
  return procedure({ queue, queueType: queueKind, request: text(), reply: text() });
}

/** This library, all guarantees on. */
export function ours(replies: "queue" | "direct"): Peer {
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
