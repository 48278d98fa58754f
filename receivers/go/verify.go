package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// tolerance is how far a signature's time may be off, in either direction.
const tolerance = 5 * time.Minute

var (
	errTimestamp = errors.New("webhook-timestamp is missing, or more than five minutes off")
	errSignature = errors.New("no signature in webhook-signature matches")
)

// verify checks a request's Standard Webhooks signature over the body's exact bytes.
func verify(key []byte, header http.Header, body []byte, now time.Time) error {
	id, timestamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > tolerance {
		return errTimestamp
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	expected := mac.Sum(nil)
	// While a secret is being changed there are several signatures; one that matches is enough.
	for _, signature := range strings.Fields(header.Get("webhook-signature")) {
		version, encoded, _ := strings.Cut(signature, ",")
		offered, err := base64.StdEncoding.DecodeString(encoded)
		if version == "v1" && err == nil && hmac.Equal(offered, expected) {
			return nil
		}
	}
	return errSignature
}

// parseSecret reads `whsec_` and base64.
func parseSecret(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "whsec_") {
		return nil, errors.New("a signing secret begins with whsec_")
	}
	encoded := strings.TrimRight(strings.TrimPrefix(text, "whsec_"), "=")
	key, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil || len(key) < 24 {
		return nil, errors.New("what follows whsec_ is not base64 of at least 24 bytes")
	}
	return key, nil
}
