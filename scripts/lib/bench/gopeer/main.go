// The worker that a good Go engineer would write to Parley's own contract with amqp091, redigo and net/http: a goroutine
// a delivery, the confirmed reply before the acknowledgement. What a user would pick instead, hence what is measured
// beside it.
//
// Environment: AMQP_URL, REDIS_URL, QUEUE, PREFETCH; BACKEND_URL, or ECHO=1: the answer is the question.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"
	amqp "github.com/rabbitmq/amqp091-go"
)

type object = map[string]interface{}

type source struct {
	ID    string  `json:"id"`
	Score float64 `json:"score"`
	Text  string  `json:"text"`
}

const collections = "/api/v2/tenants/default_tenant/databases/default_database/collections/"

var (
	client = &http.Client{
		Transport: &http.Transport{
			MaxIdleConns: 8192, MaxIdleConnsPerHost: 8192, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
		Timeout: time.Minute,
	}
	backend = os.Getenv("BACKEND_URL")
	echo    = os.Getenv("ECHO") == "1"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "fatal:", err)
		os.Exit(1)
	}
}

func post(path string, body []byte, out interface{}) error {
	r, err := client.Post(backend+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %d", path, r.StatusCode)
	}
	return json.Unmarshal(b, out)
}

func findCollection() string {
	r, err := client.Get(backend + collections + "docs")
	must(err)
	defer r.Body.Close()
	var c struct{ ID string }
	must(json.NewDecoder(r.Body).Decode(&c))
	return collections + c.ID + "/query"
}

func retrieve(query, search string) ([]source, error) {
	in, _ := json.Marshal(object{"model": "fake-embed", "input": []string{query}})
	var embedded struct {
		Data []struct{ Embedding json.RawMessage }
	}
	if err := post("/v1/embeddings", in, &embedded); err != nil {
		return nil, err
	}
	in = append([]byte(`{"query_embeddings":[`), embedded.Data[0].Embedding...)
	in = append(in, `],"n_results":4,"include":["documents","metadatas","distances"]}`...)
	var found struct {
		IDs       [][]string
		Distances [][]float64
		Documents [][]string
	}
	if err := post(search, in, &found); err != nil {
		return nil, err
	}
	sources := []source{}
	for i := range found.IDs[0] {
		sources = append(sources, source{found.IDs[0][i], 1 - found.Distances[0][i], found.Documents[0][i]})
	}
	return sources, nil
}

func ask(query string, sources []source) (string, error) {
	var prompt strings.Builder
	for i, s := range sources {
		fmt.Fprintf(&prompt, "<passage>\n[%d]\n%s\n</passage>\n", i+1, s.Text)
	}
	prompt.WriteString("\n\nQuestion: " + query)
	in, _ := json.Marshal(object{"model": "fake", "temperature": 0.3, "seed": 42, "messages": []map[string]string{
		{"role": "system", "content": "You are a customer service assistant."},
		{"role": "user", "content": prompt.String()},
	}})
	var completion struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if err := post("/v1/chat/completions", in, &completion); err != nil {
		return "", err
	}
	return completion.Choices[0].Message.Content, nil
}

func answer(query, search string) (string, []source, error) {
	if echo {
		return query, []source{}, nil
	}
	sources, err := retrieve(query, search)
	if err != nil {
		return "", nil, err
	}
	text, err := ask(query, sources)
	return text, sources, err
}

func main() {
	prefetch, err := strconv.Atoi(os.Getenv("PREFETCH"))
	must(err)
	connection, err := amqp.Dial(os.Getenv("AMQP_URL"))
	must(err)
	deliveries, err := connection.Channel()
	must(err)
	must(deliveries.Qos(prefetch, 0, false))
	connection, err = amqp.Dial(os.Getenv("AMQP_URL"))
	must(err)
	replies, err := connection.Channel()
	must(err)
	must(replies.Confirm(false))
	pool := &redis.Pool{MaxIdle: 64, MaxActive: 64, Wait: true, Dial: func() (redis.Conn, error) {
		return redis.DialURL(os.Getenv("REDIS_URL"))
	}}
	search := ""
	if !echo {
		search = findCollection()
	}

	reply := func(d amqp.Delivery, body []byte) error {
		if d.ReplyTo == "" {
			return nil
		}
		confirm, err := replies.PublishWithDeferredConfirmWithContext(
			context.Background(), "", d.ReplyTo, true, false, amqp.Publishing{
				ContentType: "application/json", DeliveryMode: amqp.Persistent, Type: "chat.reply",
				MessageId: d.MessageId, CorrelationId: d.CorrelationId, Body: body,
			})
		if err == nil && !confirm.Wait() {
			err = fmt.Errorf("the broker refused a reply")
		}
		return err
	}
	work := func(d amqp.Delivery) error {
		began := time.Now()
		var job struct{ Query string }
		if err := json.Unmarshal(d.Body, &job); err != nil {
			return d.Reject(false)
		}
		text, sources, err := answer(job.Query, search)
		if err != nil {
			return err
		}
		body, _ := json.Marshal(object{
			"id": d.MessageId, "status": "succeeded", "answer": text, "sources": sources, "attempts": 1, "cached": "none",
			"timings_ms": object{"total": float64(time.Since(began).Microseconds()) / 1000}, "metadata": object{},
		})
		store := pool.Get()
		_, err = store.Do("SET", "chat:result:"+d.MessageId, body, "EX", 86400)
		store.Close()
		if err != nil {
			return err
		}
		if err := reply(d, body); err != nil {
			return err
		}
		return d.Ack(false)
	}

	consumed, err := deliveries.Consume(os.Getenv("QUEUE"), "", false, false, false, false, nil)
	must(err)
	go func() {
		for d := range consumed {
			go func(d amqp.Delivery) {
				if err := work(d); err != nil {
					d.Reject(true)
				}
			}(d)
		}
	}()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}
