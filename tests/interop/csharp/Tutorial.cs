using System;
using System.Collections.Generic;
using System.Text;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;

/// Tutorial six on the RabbitMQ.Client that Mono comes with: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL.
class Tutorial
{
    static long Fib(int n)
    {
        long a = 0, b = 1;
        for (; n > 0; n--)
        {
            long sum = a + b;
            a = b;
            b = sum;
        }
        return a;
    }

    static void Serve(IModel channel, string queue, bool quorum)
    {
        var arguments = quorum ? new Dictionary<string, object> { { "x-queue-type", "quorum" } } : null;
        channel.QueueDeclare(queue, false, quorum, false, false, false, arguments);
        channel.BasicQos(0, 1, false);
        var consumer = new QueueingBasicConsumer(channel);
        channel.BasicConsume(queue, false, null, consumer);
        Console.WriteLine(" [x] Awaiting RPC requests");
        while (true)
        {
            var request = (BasicDeliverEventArgs)consumer.Queue.Dequeue();
            var reply = channel.CreateBasicProperties();
            reply.CorrelationId = request.BasicProperties.CorrelationId;
            var result = Fib(int.Parse(Encoding.UTF8.GetString(request.Body))).ToString();
            channel.BasicPublish("", request.BasicProperties.ReplyTo, reply, Encoding.UTF8.GetBytes(result));
            channel.BasicAck(request.DeliveryTag, false);
        }
    }

    static void Call(IModel channel, string queue, string n)
    {
        string replies = channel.QueueDeclare("", false, false, true, true, false, null);
        var consumer = new QueueingBasicConsumer(channel);
        channel.BasicConsume(replies, true, null, consumer);
        var request = channel.CreateBasicProperties();
        request.CorrelationId = Guid.NewGuid().ToString();
        request.ReplyTo = replies;
        channel.BasicPublish("", queue, request, Encoding.UTF8.GetBytes(n));
        while (true)
        {
            var reply = (BasicDeliverEventArgs)consumer.Queue.Dequeue();
            if (reply.BasicProperties.CorrelationId != request.CorrelationId) continue;
            Console.WriteLine(" [.] Got '{0}'", Encoding.UTF8.GetString(reply.Body));
            return;
        }
    }

    static void Main(string[] args)
    {
        var url = new Uri(Environment.GetEnvironmentVariable("AMQP_URL"));
        var login = url.UserInfo.Split(':');
        var factory = new ConnectionFactory { HostName = url.Host, Port = url.Port, UserName = login[0], Password = login[1] };
        using (var connection = factory.CreateConnection())
        using (var channel = connection.CreateModel())
        {
            if (args[0] == "server") Serve(channel, args[1], args[2] == "quorum");
            else Call(channel, args[1], args[2]);
        }
    }
}
