package cluster

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

const nameMax = 249 // characters of a topic's name

// CheckName says what is wrong with a topic's name, in Kafka's words.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: Topic name is invalid: the empty string is not allowed", kerr.InvalidTopicException)
	case name == "." || name == "..":
		return fmt.Errorf("%w: Topic name is invalid: '%s' is not allowed", kerr.InvalidTopicException, name)
	case len(name) > nameMax:
		return fmt.Errorf("%w: Topic name is invalid: the length of '%s' is longer than the max allowed length %d", kerr.InvalidTopicException, name, nameMax)
	}
	for i := range len(name) {
		b := name[i]
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '.', b == '_', b == '-':
		default:
			return fmt.Errorf("%w: Topic name is invalid: '%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'", kerr.InvalidTopicException, name)
		}
	}
	return nil
}
