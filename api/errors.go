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

// detail is what an error says beyond its code; nil if nothing.
func detail(err error) *string {
	var known *kerr.Error
	if !errors.As(err, &known) {
		return nil
	}
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), known.Error()), ": ")
	if text == "" {
		return nil
	}
	return &text
}

// message is what a client may read of an error: its detail, else what its code
// means.
func message(err error) *string {
	if text := detail(err); text != nil || err == nil {
		return text
	}
	var known *kerr.Error
	if !errors.As(err, &known) {
		return nil
	}
	return &known.Description
}
