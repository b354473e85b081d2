package config

import "time"

// Topic is the effective configuration of one topic: what was set on it, else
// the broker's, else the default. It never changes: a change makes a new value.
type Topic struct {
	Compact, Delete     bool  // cleanup.policy
	RetentionTime       int64 // ms; -1: no limit
	RetentionBytes      int64 // -1: no limit
	SegmentBytes        int64
	SegmentTime         int64 // ms
	MaxMessageBytes     int
	LogAppendTime       bool  // message.timestamp.type
	TimestampBeforeMax  int64 // ms
	TimestampAfterMax   int64 // ms
	DeleteRetentionTime int64 // ms
}

// Source says where a value comes from, in DescribeConfigs' numbers.
type Source int8

const (
	SourceTopic         Source = 1
	SourceDynamicBroker Source = 2
	SourceStaticBroker  Source = 4 // file, environment or flag
	SourceDefault       Source = 5
)

// Type of a value, in DescribeConfigs' numbers.
type Type int8

const (
	Boolean  Type = 1
	String   Type = 2
	Int      Type = 3
	Short    Type = 4
	Long     Type = 5
	Double   Type = 6
	List     Type = 7
	Class    Type = 8
	Password Type = 9
)

// Entry is one configuration as DescribeConfigs shows it.
type Entry struct {
	Name      string
	Value     *string // nil: unset, or sensitive
	Type      Type
	Source    Source
	ReadOnly  bool
	Sensitive bool
	Doc       string
	Synonyms  []Synonym // where the value would come from, nearest first
}

// Synonym is one place that an Entry's value can come from.
type Synonym struct {
	Name   string
	Value  *string
	Source Source
}

// Listener is one listener as configured.
type Listener struct {
	Name       string
	Protocol   string // PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL
	Host       string // to bind; empty: every address
	Port       int    // 0: any free one
	Advertised *Advertised
	Mechanisms []string // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
	Reauth     time.Duration
	TLS        TLS
}

// Advertised is a fixed advertised address.
type Advertised struct {
	Host string
	Port int // 0: the port that is bound
}

// TLS is what a listener's certificate comes from; all empty: the instance's own.
type TLS struct {
	KeystoreLocation string
	KeystoreType     string // PEM, PKCS12, JKS
	KeystorePassword string
	KeyPassword      string
	MinVersion       uint16
	MaxVersion       uint16
}
