package api

import (
	"context"
	"regexp"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

// apiVersions tells what is served.
//
// v0-5: v3 is flexible and brings the client's software.
func (h *Handlers) apiVersions(_ context.Context, _ *Session, req *kmsg.ApiVersionsRequest) answer {
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	if req.Version >= 3 && !(softwareName.MatchString(req.ClientSoftwareName) && softwareName.MatchString(req.ClientSoftwareVersion)) {
		resp.ErrorCode = kerr.InvalidRequest.Code
		resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{}
		return body{resp}
	}
	resp.ApiKeys = h.keys()
	return body{resp}
}

func (h *Handlers) keys() []kmsg.ApiVersionsResponseApiKey {
	var keys []kmsg.ApiVersionsResponseApiKey
	for _, r := range table() {
		key := kmsg.NewApiVersionsResponseApiKey()
		key.ApiKey, key.MinVersion, key.MaxVersion = r.key, r.min, r.max
		keys = append(keys, key)
	}
	return keys
}

// unknownApiVersions answers a version that is not known, in the layout of
// version 0, which every client can read (KIP-511).
func (h *Handlers) unknownApiVersions() Finish {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	for _, key := range h.keys() {
		if key.ApiKey == int16(kmsg.ApiVersions) {
			resp.ApiKeys = append(resp.ApiKeys, key)
		}
	}
	return func(context.Context) Answer { return Answer{Body: resp.AppendTo(nil)} }
}
