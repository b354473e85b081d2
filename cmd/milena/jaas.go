package main

import (
	"fmt"
	"strings"
)

// parseJAAS takes user and password out of a login module's line:
//
//	org.apache.kafka….ScramLoginModule required username="u" password="p";
func parseJAAS(line string) (user, password string, err error) {
	module, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	if !strings.HasSuffix(module, ".PlainLoginModule") && !strings.HasSuffix(module, ".ScramLoginModule") {
		return "", "", fmt.Errorf("sasl.jaas.config: only PlainLoginModule and ScramLoginModule are understood")
	}
	for rest = strings.TrimSpace(rest); rest != "" && rest[0] != ';'; rest = strings.TrimLeft(rest, " \t\r\n") {
		word, value, tail, err := jaasOption(rest)
		if err != nil {
			return "", "", err
		}
		switch word {
		case "username":
			user = value
		case "password":
			password = value
		}
		rest = tail
	}
	if user == "" || password == "" {
		return "", "", fmt.Errorf("sasl.jaas.config: username=\"…\" and password=\"…\" are needed")
	}
	return user, password, nil
}

// jaasOption takes one word, or one name="value", off the front.
func jaasOption(text string) (name, value, rest string, err error) {
	end := strings.IndexAny(text, " \t\r\n=;")
	if end < 0 {
		return text, "", "", nil
	}
	if text[end] != '=' {
		return text[:end], "", text[end:], nil
	}
	name, text = text[:end], text[end+1:]
	if text == "" || text[0] != '"' {
		end = strings.IndexAny(text+";", " \t\r\n;")
		return name, text[:end], text[end:], nil
	}
	var plain strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if i++; i < len(text) {
				plain.WriteByte(text[i])
			}
		case '"':
			return name, plain.String(), text[i+1:], nil
		default:
			plain.WriteByte(text[i])
		}
	}
	return "", "", "", fmt.Errorf("sasl.jaas.config: a quote is not closed")
}
