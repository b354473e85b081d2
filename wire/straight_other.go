//go:build !linux

package wire

import "milena/api"

// sendFromFile is not known here: the range is copied.
func (c *conn) sendFromFile(api.Part) (bool, error) { return false, nil }

// sendPieces is left to sendJoined.
func (c *conn) sendPieces([][]byte, int) (bool, error) { return false, nil }
