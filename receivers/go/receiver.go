package main

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"sync"
	"time"
)

const (
	webhookPath = "/openclaw/webhook"
	countPath   = "/processed"
	largestBody = 2 << 20
	// A bound on what waits to be worked on; more is answered 503 and comes again.
	waitingEvents = 1000
	// A bound on the memory of events; far more than can come while a sender retries.
	rememberedEvents = 10000
)

// receiver takes finished-run events: it verifies, takes each once, answers, and works afterwards.
type receiver struct {
	key    []byte
	now    func() time.Time
	queue  chan []byte
	handle func(body []byte) error

	mu        sync.Mutex
	seen      map[string]struct{}
	order     []string // the ids in seen, the oldest at next once it is full
	next      int
	processed int
}

func newReceiver(key []byte, handle func(body []byte) error) *receiver {
	return &receiver{
		key:    key,
		now:    time.Now,
		queue:  make(chan []byte, waitingEvents),
		handle: handle,
		seen:   make(map[string]struct{}, rememberedEvents),
	}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch {
	case req.URL.Path == webhookPath && req.Method == http.MethodPost:
		r.receive(w, req)
	case req.URL.Path == countPath && req.Method == http.MethodGet:
		// For `clawhook conformance --effects-url`, which proves with it that a repeat is processed once.
		json.NewEncoder(w).Encode(map[string]int{"processed": r.count()})
	default:
		http.NotFound(w, req)
	}
}

func (r *receiver) receive(w http.ResponseWriter, req *http.Request) {
	// The signature covers the exact bytes, so they are verified as they came and parsed afterwards.
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, largestBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		http.Error(w, "the body is too long", http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, "the body could not be read", http.StatusBadRequest)
		return
	}
	if err := verify(r.key, req.Header, body, r.now()); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	if !r.take(req.Header.Get("webhook-id"), body) {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many events wait", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// take queues a new event. It is false where there is no room; a repeat needs none and is taken for done.
func (r *receiver) take(id string, body []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.seen[id]; known {
		return true
	}
	select {
	case r.queue <- body:
		r.remember(id)
		return true
	default:
		return false
	}
}

// remember keeps an id and forgets the oldest where there are too many.
func (r *receiver) remember(id string) {
	r.seen[id] = struct{}{}
	if len(r.order) < rememberedEvents {
		r.order = append(r.order, id)
		return
	}
	delete(r.seen, r.order[r.next])
	r.order[r.next] = id
	r.next = (r.next + 1) % rememberedEvents
}

// work handles what is queued, one event after the other, until the queue is closed.
func (r *receiver) work() {
	for body := range r.queue {
		if err := r.handle(body); err != nil {
			log.Printf("an event could not be handled: %v", err)
		}
		r.mu.Lock()
		r.processed++
		r.mu.Unlock()
	}
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.processed
}
