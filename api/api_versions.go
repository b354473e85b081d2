package api

import (
	"context"
	"regexp"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

const softwareMax = 128 // bytes of a client's name and of its version that are kept

// apiVersions tells what is served.
//
// v0-5: v3 is flexible and brings the client's software, v4 lists features with
// a minimum of 0 (there are no features yet), v5 may say which broker the client
// thinks this is.
func (h *Handlers) apiVersions(s *Session, req *kmsg.ApiVersionsRequest) answer {
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	if req.Version >= 3 {
		if !softwareName.MatchString(req.ClientSoftwareName) || !softwareName.MatchString(req.ClientSoftwareVersion) {
			resp.ErrorCode = kerr.InvalidRequest.Code
			return body{resp}
		}
		s.Software = cut(req.ClientSoftwareName, softwareMax) + " " + cut(req.ClientSoftwareVersion, softwareMax)
	}
	if resp.ErrorCode = h.code(h.wrongBroker(req)); resp.ErrorCode == 0 {
		resp.ApiKeys = h.keys()
	}
	return body{resp}
}

func cut(text string, most int) string { return text[:min(len(text), most)] }

// wrongBroker says that a client means another broker than this one, so that it
// begins anew from its bootstrap addresses (KIP-1242).
func (h *Handlers) wrongBroker(req *kmsg.ApiVersionsRequest) error {
	if req.Version < 5 || req.ClusterID == nil && req.NodeID == -1 {
		return nil
	}
	switch {
	case req.ClusterID == nil || req.NodeID == -1:
		return kerr.InvalidRequest
	case *req.ClusterID != h.Cluster.ClusterID() || req.NodeID != h.Cluster.NodeID():
		return kerr.RebootstrapRequired
	}
	return nil
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
