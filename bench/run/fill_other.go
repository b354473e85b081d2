//go:build !linux

package main

import (
	"errors"
	"os"
)

func readMissing(*os.File, int64) error { return errors.New("-fill is for Linux") }
