// A receiver of Clawhook's events, with nothing but Go's standard library.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// handle is where your work goes. It runs after the answer, once for each event.
func handle(body []byte) error {
	var event struct{ JobName, Status, Summary, Error string }
	if err := json.Unmarshal(body, &event); err != nil {
		return err
	}
	fmt.Printf("%s: %s: %.200q\n", event.JobName, event.Status, event.Summary+event.Error)
	return nil
}

func main() {
	key, err := signingSecret()
	if err != nil {
		log.Fatal(err)
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "3000"
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s%s\n", listener.Addr(), webhookPath)
	serve(listener, newReceiver(key, handle))
}

// serve runs until it is told to stop, and then handles what it has accepted.
func serve(listener net.Listener, receiver *receiver) {
	var working sync.WaitGroup
	working.Add(1)
	go func() {
		defer working.Done()
		receiver.work()
	}()
	server := &http.Server{Handler: receiver, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	go func() {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			log.Fatal(err)
		}
	}()
	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	<-stop.Done()
	if err := server.Shutdown(context.Background()); err != nil {
		log.Print(err)
	}
	close(receiver.queue)
	working.Wait()
}

func signingSecret() ([]byte, error) {
	if text := os.Getenv("CLAWHOOK_SIGNING_SECRET"); text != "" {
		return parseSecret(text)
	}
	if path := os.Getenv("CLAWHOOK_SIGNING_SECRET_FILE"); path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return parseSecret(string(text))
	}
	return nil, fmt.Errorf("set CLAWHOOK_SIGNING_SECRET, or CLAWHOOK_SIGNING_SECRET_FILE to a file that holds it")
}
