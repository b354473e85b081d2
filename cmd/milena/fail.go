package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Exit codes; `milena help exit-codes` prints them, scripts rely on them.
const (
	exitOK           = 0
	exitFailed       = 1
	exitUsage        = 2
	exitNotFound     = 3
	exitDenied       = 4
	exitUnreachable  = 5
	exitConflict     = 6
	exitStorage      = 74
	exitTimeLimit    = 124
	exitInterrupted  = 130
	exitCodesMeaning = `  0    it worked
  1    it failed in another way than these
  2    the command line or the configuration is wrong
  3    what was asked for is not there: a topic, a group, a user, a record
  4    not signed in, or not allowed
  5    no broker could be reached, or none answered in time
  6    it is there already, or in use
  74   an instance stopped because its storage failed
  124  the time limit that was given is over
  130  interrupted
`
)

// failure is an error with all that a person needs: what failed is err itself.
type failure struct {
	err   error
	code  int
	cause string // probably
	next  string // the command to type
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// usage is an error in how a command was called.
func usage(err error, cmd *cobra.Command) error {
	return &failure{err: err, code: exitUsage, next: cmd.CommandPath() + " --help"}
}

func usageOf(cmd *cobra.Command, format string, args ...any) error {
	return usage(fmt.Errorf(format, args...), cmd)
}

// finish tells an error, once, and gives the exit code.
func (c *console) finish(ctx context.Context, cmd *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(err, syscall.EPIPE) {
		return exitOK // who read us has had enough
	}
	f := explain(err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		f = &failure{err: errors.New("interrupted"), code: exitInterrupted}
	}
	if f.code == exitInterrupted && !c.errTerminal {
		return f.code
	}
	name := "milena"
	if cmd != nil {
		name = cmd.CommandPath()
	}
	fmt.Fprintf(c.err, "%s: %s\n", name, describe(f.err))
	if f.cause != "" {
		fmt.Fprintf(c.err, "  probably: %s\n", f.cause)
	}
	if f.next != "" {
		fmt.Fprintf(c.err, "  next:     %s\n", f.next)
	}
	return f.code
}

// describe gives an error's words, and a Kafka error's number with its name.
func describe(err error) string {
	text := err.Error()
	var known *kerr.Error
	if errors.As(err, &known) {
		meaning := strings.TrimSuffix(lowerFirst(known.Description), ".")
		text = strings.Replace(text, known.Error(), fmt.Sprintf("%s (%d): %s", known.Message, known.Code, meaning), 1)
	}
	return text
}

func lowerFirst(text string) string {
	if len(text) > 1 && text[1] >= 'a' && text[1] <= 'z' {
		return strings.ToLower(text[:1]) + text[1:]
	}
	return text
}

// explain finds an error's exit code, its likely cause and what to do next.
func explain(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		told := *f
		told.err = err
		return &told
	}
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return &failure{err: err, code: coded.ExitCode()}
	}
	var known *kerr.Error
	if errors.As(err, &known) {
		return explainKafka(err, known)
	}
	return explainNetwork(err)
}

// kafkaMeanings are the errors of Kafka that we can say more about.
var kafkaMeanings = map[int16]failure{
	kerr.UnknownTopicOrPartition.Code: {nil, exitNotFound, "the topic or partition does not exist, or the broker makes none by itself", "milena topic list"},
	kerr.UnknownTopicID.Code:          {nil, exitNotFound, "the topic was deleted and made again meanwhile", "milena topic list"},
	kerr.GroupIDNotFound.Code:         {nil, exitNotFound, "no consumer has used this group yet, or its offsets expired", "milena group list"},
	kerr.ResourceNotFound.Code:        {nil, exitNotFound, "it was never made, or is deleted", ""},

	kerr.SaslAuthenticationFailed.Code:           {nil, exitDenied, "wrong user name or password", "milena doctor"},
	kerr.UnsupportedSaslMechanism.Code:           {nil, exitDenied, "the listener offers other mechanisms", "milena doctor, then -X sasl.mechanism=NAME"},
	kerr.IllegalSaslState.Code:                   {nil, exitDenied, "the listener wants another security protocol", "milena doctor"},
	kerr.TopicAuthorizationFailed.Code:           {nil, exitDenied, "this user may not use the topic", ""},
	kerr.GroupAuthorizationFailed.Code:           {nil, exitDenied, "this user may not use the group", ""},
	kerr.ClusterAuthorizationFailed.Code:         {nil, exitDenied, "only the superuser may do this", "the same with --user admin"},
	kerr.SecurityDisabled.Code:                   {nil, exitDenied, "the broker has no users", ""},
	kerr.DelegationTokenAuthDisabled.Code:        {nil, exitDenied, "", ""},
	kerr.TopicAlreadyExists.Code:                 {nil, exitConflict, "somebody made it before", "milena topic describe NAME"},
	kerr.DuplicateResource.Code:                  {nil, exitConflict, "", ""},
	kerr.NonEmptyGroup.Code:                      {nil, exitConflict, "consumers are still in the group", "milena group describe NAME"},
	kerr.GroupSubscribedToTopic.Code:             {nil, exitConflict, "consumers still read the topic", "milena group describe NAME"},
	kerr.RequestTimedOut.Code:                    {nil, exitUnreachable, "the broker is busy, or its disk hangs", "milena doctor"},
	kerr.CoordinatorNotAvailable.Code:            {nil, exitUnreachable, "the broker is starting", ""},
	kerr.LeaderNotAvailable.Code:                 {nil, exitUnreachable, "the broker is starting, or the topic was just made", ""},
	kerr.BrokerNotAvailable.Code:                 {nil, exitUnreachable, "a broker of the cluster is down", "milena doctor"},
	kerr.NotLeaderForPartition.Code:              {nil, exitUnreachable, "leadership is moving", ""},
	kerr.KafkaStorageError.Code:                  {nil, exitFailed, "the broker's disk failed or is full: look at its log", ""},
	kerr.MessageTooLarge.Code:                    {nil, exitFailed, "a record is larger than the topic's max.message.bytes or than -X max.request.size", "milena topic describe NAME"},
	kerr.InvalidTopicException.Code:              {nil, exitUsage, "a topic's name has 1 to 249 letters, digits, dots, underscores and dashes", ""},
	kerr.InvalidReplicationFactor.Code:           {nil, exitUsage, "", "milena topic create NAME -r -1"},
	kerr.InvalidPartitions.Code:                  {nil, exitUsage, "a topic has at least one partition", ""},
	kerr.InvalidConfig.Code:                      {nil, exitUsage, "", ""},
	kerr.UnsupportedVersion.Code:                 {nil, exitFailed, "the broker is too old for this, or does not do it", "milena doctor"},
	kerr.InvalidRecord.Code:                      {nil, exitFailed, "the topic is compacted and the record has no key, or its time is out of range", "milena topic describe NAME"},
	kerr.UnacceptableCredential.Code:             {nil, exitUsage, "the password or the iterations are not taken", ""},
	kerr.InvalidTimestamp.Code:                   {nil, exitFailed, "the record's time is too far from the broker's clock", "milena topic describe NAME"},
	kerr.InconsistentGroupProtocol.Code:          {nil, exitConflict, "the group's members use other assignors or another protocol", "milena group describe NAME"},
	kerr.OffsetOutOfRange.Code:                   {nil, exitNotFound, "records that old are deleted, or not there yet", "milena topic describe NAME"},
	kerr.PolicyViolation.Code:                    {nil, exitDenied, "", ""},
	kerr.TopicDeletionDisabled.Code:              {nil, exitDenied, "the broker has delete.topic.enable=false", ""},
	kerr.TransactionalIDAuthorizationFailed.Code: {nil, exitDenied, "", ""},
}

func explainKafka(err error, known *kerr.Error) *failure {
	f, ok := kafkaMeanings[known.Code]
	if !ok {
		f.code = exitFailed
	}
	f.err = err
	return &f
}

func explainNetwork(err error) *failure {
	f := &failure{err: err, code: exitFailed}
	var (
		unknownAuthority x509.UnknownAuthorityError
		wrongName        x509.HostnameError
		invalid          x509.CertificateInvalidError
		record           tls.RecordHeaderError
		eof              *kgo.ErrFirstReadEOF
		dns              *net.DNSError
		operation        *net.OpError
	)
	switch {
	case errors.As(err, &unknownAuthority):
		f.code, f.cause, f.next = exitDenied, "the broker's certificate is not signed by the authority in --ca", "milena doctor … --ca phy_ca.crt"
	case errors.As(err, &wrongName):
		f.code, f.cause, f.next = exitDenied, "the certificate was made for other names than the one that was dialled", "milena doctor"
	case errors.As(err, &invalid):
		f.code, f.cause, f.next = exitDenied, "the certificate is expired, or not one for servers", "milena doctor"
	case errors.As(err, &record):
		f.code, f.cause, f.next = exitUnreachable, "the port speaks plaintext: this client wanted TLS", "try without --ca, or another port (milena connect)"
	case errors.As(err, &eof) && strings.Contains(eof.Error(), "SASL"):
		f.code, f.cause, f.next = exitDenied, "the listener wants a user, and none was given", "the same with --user NAME --password-file FILE"
	case errors.As(err, &eof), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		f.code, f.cause, f.next = exitUnreachable, "the port wants another security protocol: TLS (--ca), or a user (--user)", "milena doctor"
	case errors.As(err, &dns):
		f.code, f.cause, f.next = exitUnreachable, "the name of the broker is unknown here", "check -b"
	case errors.Is(err, syscall.ECONNREFUSED):
		f.code, f.cause, f.next = exitUnreachable, "nothing listens there", "milena start, or check -b"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, kgo.ErrRecordTimeout), errors.Is(err, kgo.ErrRecordRetries), errors.As(err, &operation):
		f.code, f.cause, f.next = exitUnreachable, "a firewall, a wrong address, or a broker that hangs", "milena doctor"
	case errors.Is(err, fs.ErrNotExist):
		f.code = exitNotFound
	}
	return f
}

// notFound, conflict and timeLimit are failures that we find ourselves.
func notFound(next, format string, args ...any) error {
	return &failure{err: fmt.Errorf(format, args...), code: exitNotFound, next: next}
}

func conflict(next, format string, args ...any) error {
	return &failure{err: fmt.Errorf(format, args...), code: exitConflict, next: next}
}

func newExitCodes(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long:  "Exit codes:\n\n" + exitCodesMeaning,
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(c.out, exitCodesMeaning)
			return err
		},
	}
}
