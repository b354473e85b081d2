package api

import (
	"context"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// code is an error's number. What is no error of Kafka's is told once, here.
func (h *Handlers) code(err error) int16 {
	if err == nil {
		return 0
	}
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Code
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return kerr.RequestTimedOut.Code
	}
	h.Log.Error("a request failed for no reason that Kafka has a code for", "err", err)
	return kerr.UnknownServerError.Code
}

// message is what a client may read of an error: the text behind its code.
func message(err error) *string {
	if err == nil {
		return nil
	}
	var known *kerr.Error
	if !errors.As(err, &known) {
		return nil
	}
	text := strings.TrimPrefix(err.Error(), known.Error())
	text = strings.TrimPrefix(text, ": ")
	if text == "" {
		text = known.Description
	}
	return &text
}
