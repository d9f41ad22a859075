#!/usr/bin/env escript
%%! -noinput
%% Tutorial six on amqp_client: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL.

-mode(compile).
-include_lib("amqp_client/include/amqp_client.hrl").

fib(N) -> fib(N, 0, 1).

fib(0, A, _) -> A;
fib(N, A, B) -> fib(N - 1, B, A + B).

main([Role, Queue, Argument]) ->
    %% Its progress reports are printed otherwise.
    logger:set_primary_config(level, error),
    {ok, Parameters} = amqp_uri:parse(os:getenv("AMQP_URL")),
    {ok, Connection} = amqp_connection:start(Parameters),
    {ok, Channel} = amqp_connection:open_channel(Connection),
    case Role of
        "server" -> serve(Channel, list_to_binary(Queue), Argument =:= "quorum");
        "client" -> call(Channel, list_to_binary(Queue), list_to_binary(Argument))
    end,
    amqp_connection:close(Connection).

serve(Channel, Queue, Quorum) ->
    Arguments = case Quorum of
        true -> [{<<"x-queue-type">>, longstr, <<"quorum">>}];
        false -> []
    end,
    Declare = #'queue.declare'{queue = Queue, durable = Quorum, arguments = Arguments},
    #'queue.declare_ok'{} = amqp_channel:call(Channel, Declare),
    amqp_channel:call(Channel, #'basic.qos'{prefetch_count = 1}),
    amqp_channel:subscribe(Channel, #'basic.consume'{queue = Queue}, self()),
    receive #'basic.consume_ok'{} -> ok end,
    io:format(" [x] Awaiting RPC requests~n"),
    answer(Channel).

answer(Channel) ->
    receive
        {#'basic.deliver'{delivery_tag = Tag}, #amqp_msg{payload = N, props = Request}} ->
            #'P_basic'{reply_to = ReplyTo, correlation_id = Id} = Request,
            Result = integer_to_binary(fib(binary_to_integer(N))),
            Reply = #amqp_msg{payload = Result, props = #'P_basic'{correlation_id = Id}},
            amqp_channel:cast(Channel, #'basic.publish'{routing_key = ReplyTo}, Reply),
            amqp_channel:cast(Channel, #'basic.ack'{delivery_tag = Tag})
    end,
    answer(Channel).

call(Channel, Queue, N) ->
    #'queue.declare_ok'{queue = Replies} = amqp_channel:call(Channel, #'queue.declare'{exclusive = true}),
    amqp_channel:subscribe(Channel, #'basic.consume'{queue = Replies, no_ack = true}, self()),
    receive #'basic.consume_ok'{} -> ok end,
    Id = base64:encode(rand:bytes(16)),
    Request = #amqp_msg{payload = N, props = #'P_basic'{reply_to = Replies, correlation_id = Id}},
    amqp_channel:cast(Channel, #'basic.publish'{routing_key = Queue}, Request),
    receive
        {#'basic.deliver'{}, #amqp_msg{payload = Result, props = #'P_basic'{correlation_id = Id}}} ->
            io:format(" [.] Got ~s~n", [Result])
    end.
