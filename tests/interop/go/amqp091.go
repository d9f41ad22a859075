// Tutorial six on amqp091-go: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL.
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand"
	"os"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func check(err error, what string) {
	if err != nil {
		log.Panicf("%s: %s", what, err)
	}
}

func fib(n int) int {
	a, b := 0, 1
	for ; n > 0; n-- {
		a, b = b, a+b
	}
	return a
}

func serve(ch *amqp.Channel, queue string, quorum bool) {
	var arguments amqp.Table
	if quorum {
		arguments = amqp.Table{"x-queue-type": "quorum"}
	}
	_, err := ch.QueueDeclare(queue, quorum, false, false, false, arguments)
	check(err, "Cannot declare the queue")
	check(ch.Qos(1, 0, false), "Cannot set the prefetch")
	requests, err := ch.Consume(queue, "", false, false, false, false, nil)
	check(err, "Cannot consume")
	fmt.Println(" [x] Awaiting RPC requests")
	for request := range requests {
		n, err := strconv.Atoi(string(request.Body))
		check(err, "Cannot read the request")
		check(ch.PublishWithContext(context.Background(), "", request.ReplyTo, false, false, amqp.Publishing{
			ContentType:   "text/plain",
			CorrelationId: request.CorrelationId,
			Body:          []byte(strconv.Itoa(fib(n))),
		}), "Cannot reply")
		check(request.Ack(false), "Cannot acknowledge")
	}
}

func call(ch *amqp.Channel, queue string, n string) {
	replies, err := ch.QueueDeclare("", false, false, true, false, nil)
	check(err, "Cannot declare the reply queue")
	deliveries, err := ch.Consume(replies.Name, "", true, false, false, false, nil)
	check(err, "Cannot consume")
	rand.Seed(time.Now().UnixNano())
	id := strconv.FormatInt(rand.Int63(), 36)
	check(ch.PublishWithContext(context.Background(), "", queue, false, false, amqp.Publishing{
		ContentType:   "text/plain",
		CorrelationId: id,
		ReplyTo:       replies.Name,
		Body:          []byte(n),
	}), "Cannot publish")
	for delivery := range deliveries {
		if delivery.CorrelationId == id {
			number, err := strconv.Atoi(string(delivery.Body))
			check(err, "Cannot read the reply")
			fmt.Println(" [.] Got", number)
			return
		}
	}
}

func main() {
	connection, err := amqp.Dial(os.Getenv("AMQP_URL"))
	check(err, "Cannot connect")
	defer connection.Close()
	ch, err := connection.Channel()
	check(err, "Cannot open a channel")
	if os.Args[1] == "server" {
		serve(ch, os.Args[2], os.Args[3] == "quorum")
	} else {
		call(ch, os.Args[2], os.Args[3])
	}
}
