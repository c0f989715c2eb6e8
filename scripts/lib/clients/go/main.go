// Jobs from Go's amqp091 on a running worker: BROKER QUEUE says `ok` or why not.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const question = "退货政策是什么？ Größe ✓"

func need(condition bool, what ...any) {
	if !condition {
		fmt.Println(append([]any{"amqp091-go:"}, what...)...)
		os.Exit(1)
	}
}

func ask(connection *amqp.Connection, queue, direct string) {
	channel, err := connection.Channel()
	need(err == nil, err)
	defer channel.Close()
	replies := direct
	if direct == "" {
		declared, err := channel.QueueDeclare("", false, true, true, false, nil)
		need(err == nil, err)
		replies = declared.Name
	}
	messages, err := channel.Consume(replies, "", true, false, false, false, nil)
	need(err == nil, err)
	need(channel.Confirm(false) == nil, "no confirms")
	confirms := channel.NotifyPublish(make(chan amqp.Confirmation, 1))
	id := fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
	body, _ := json.Marshal(map[string]any{"query": question, "stream": true})
	err = channel.PublishWithContext(context.Background(), "", queue, true, false, amqp.Publishing{
		ContentType: "application/json", MessageId: id, CorrelationId: id, ReplyTo: replies, Priority: 9,
		DeliveryMode: amqp.Persistent, Headers: amqp.Table{"n": int64(-5), "nested": amqp.Table{"list": []any{1, "x"}}},
		Body: body,
	})
	need(err == nil, err)
	need((<-confirms).Ack, "the job was not confirmed")
	chunks := ""
	limit := time.After(30 * time.Second)
	for {
		select {
		case message := <-messages:
			need(message.CorrelationId == id, "correlation_id", message.CorrelationId)
			var reply struct {
				Status, Answer, Delta string
				Warnings              []string
			}
			need(json.Unmarshal(message.Body, &reply) == nil, "no JSON:", string(message.Body))
			if message.Type == "chat.chunk" {
				chunks += reply.Delta
				continue
			}
			need(reply.Status == "succeeded" && reply.Answer == question, "the reply is", string(message.Body))
			need(len(reply.Warnings) == 0, "warnings", reply.Warnings)
			need(chunks == question, "the chunks are", chunks)
			return
		case <-limit:
			need(false, "no reply in time")
		}
	}
}

func main() {
	rand.Seed(time.Now().UnixNano())
	connection, err := amqp.Dial(os.Args[1])
	need(err == nil, err)
	ask(connection, os.Args[2], "")
	ask(connection, os.Args[2], "amq.rabbitmq.reply-to")
	fmt.Println("ok")
}
