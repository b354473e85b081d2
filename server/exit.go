package server

import (
	"errors"

	"milena/storage/disk"
)

// Exit codes of an instance that could not start or had to stop; the rest of
// them are the command line's.
const (
	exitFailed   = 1
	exitUsage    = 2
	exitNotFound = 3
	exitConflict = 6  // the directory or a port is in use
	exitStorage  = 74 // a write or a sync of the journal failed
)

// Error ends an instance. Code is the process's exit code.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// ExitCode is what the process should end with.
func (e *Error) ExitCode() int { return e.Code }

// failed gives an error the exit code that fits it.
func failed(err error) error {
	var known *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return &Error{known.Code, err}
	case errors.Is(err, disk.ErrLocked):
		return &Error{exitConflict, err}
	}
	return &Error{exitFailed, err}
}
