package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The vector that the standard publishes.
const (
	vectorSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	vectorBody      = `{"test": 2432232314}`
)

var vectorTime = time.Unix(1614265330, 0)

// started is a receiver that works, whose clock stands at the vector's time.
func started(t *testing.T, handle func([]byte) error) (*receiver, string) {
	t.Helper()
	key, err := parseSecret(vectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	r := newReceiver(key, handle)
	r.now = func() time.Time { return vectorTime }
	server := httptest.NewServer(r)
	done := make(chan struct{})
	go func() {
		r.work()
		close(done)
	}()
	t.Cleanup(func() {
		server.Close()
		close(r.queue)
		<-done
	})
	return r, server.URL
}

func signed(key []byte, id string, at time.Time, body string) http.Header {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body)
	return headers(id, at, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

func headers(id string, at time.Time, signature string) http.Header {
	header := http.Header{}
	header.Set("webhook-id", id)
	header.Set("webhook-timestamp", fmt.Sprint(at.Unix()))
	header.Set("webhook-signature", signature)
	return header
}

func post(t *testing.T, url string, header http.Header, body string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url+webhookPath, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

func TestTheStandardsOwnVectorIsAccepted(t *testing.T) {
	bodies := make(chan []byte, 1)
	_, url := started(t, func(body []byte) error { bodies <- body; return nil })
	if status := post(t, url, headers(vectorID, vectorTime, vectorSignature), vectorBody); status != 204 {
		t.Fatalf("answered %d", status)
	}
	if body := <-bodies; !bytes.Equal(body, []byte(vectorBody)) {
		t.Fatalf("handled %q", body)
	}
}

func TestARepeatIsAcceptedAndNotHandledAgain(t *testing.T) {
	bodies := make(chan []byte, 3)
	r, url := started(t, func(body []byte) error { bodies <- body; return nil })
	for _, id := range []string{"evt_1", "evt_1", "evt_2"} {
		if status := post(t, url, signed(r.key, id, vectorTime, id), id); status != 204 {
			t.Fatalf("%s was answered %d", id, status)
		}
	}
	if first, second := <-bodies, <-bodies; string(first) != "evt_1" || string(second) != "evt_2" {
		t.Fatalf("handled %s and %s", first, second)
	}
}

func TestWhatIsNotGenuineIsRefused(t *testing.T) {
	r, url := started(t, func([]byte) error { t.Error("it was handled"); return nil })
	other := bytes.Repeat([]byte("k"), 32)
	for name, header := range map[string]http.Header{
		"another secret":   signed(other, "evt_1", vectorTime, vectorBody),
		"too old":          signed(r.key, "evt_1", vectorTime.Add(-10*time.Minute), vectorBody),
		"from the future":  signed(r.key, "evt_1", vectorTime.Add(10*time.Minute), vectorBody),
		"far in the past":  headers("evt_1", time.Unix(-1<<62, 0), vectorSignature),
		"a changed byte":   signed(r.key, "evt_1", vectorTime, strings.Replace(vectorBody, "2", "3", 1)),
		"no signature":     headers("evt_1", vectorTime, ""),
		"empty signature":  headers("evt_1", vectorTime, "v1,"),
		"no base64":        headers("evt_1", vectorTime, "v1,%%%"),
		"no headers":       {},
		"another version":  headers(vectorID, vectorTime, strings.Replace(vectorSignature, "v1", "v2", 1)),
		"another event id": headers("evt_1", vectorTime, vectorSignature),
	} {
		if status := post(t, url, header, vectorBody); status != 401 {
			t.Errorf("%s was answered %d", name, status)
		}
	}
}

func TestOneRightSignatureAmongOthersIsEnough(t *testing.T) {
	_, url := started(t, func([]byte) error { return nil })
	both := headers(vectorID, vectorTime, "v9,AAAA v1,AAAA "+vectorSignature)
	if status := post(t, url, both, vectorBody); status != 204 {
		t.Fatalf("answered %d", status)
	}
}

func TestABodyOfAMebibyteIsAcceptedAndOneOfMoreThanTwoIsNot(t *testing.T) {
	r, url := started(t, func([]byte) error { return nil })
	for length, want := range map[int]int{1 << 20: 204, 2<<20 + 1: 413} {
		body := strings.Repeat("x", length)
		if status := post(t, url, signed(r.key, fmt.Sprint(length), vectorTime, body), body); status != want {
			t.Errorf("%d bytes were answered %d", length, status)
		}
	}
}

func TestAFullQueueRefusesWhatIsNewAndRemembersNothingOfIt(t *testing.T) {
	r := newReceiver(nil, nil)
	for i := 0; i < waitingEvents; i++ {
		if !r.take(fmt.Sprint(i), nil) {
			t.Fatalf("event %d found no room", i)
		}
	}
	if r.take("one more", nil) || !r.take("0", nil) {
		t.Fatal("the queue is full, and a repeat needs no room")
	}
	<-r.queue
	if !r.take("one more", nil) {
		t.Fatal("there is room again")
	}
}

func TestTheMemoryIsBoundedAndForgetsTheOldestFirst(t *testing.T) {
	r := newReceiver(nil, nil)
	for i := 0; i <= rememberedEvents; i++ {
		r.remember(fmt.Sprint(i))
	}
	_, oldest := r.seen["0"]
	_, next := r.seen["1"]
	if oldest || !next || len(r.seen) != rememberedEvents {
		t.Fatalf("oldest %t, next %t, %d in all", oldest, next, len(r.seen))
	}
}
