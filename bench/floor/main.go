package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	address := flag.String("listen", "127.0.0.1:9092", "address")
	data := flag.String("data", "", "directory, empty at the start")
	durable := flag.Bool("journal", false, "append to the journal instead of a file for each partition")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *address, *data, *durable); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address, data string, durable bool) error {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	if names, err := os.ReadDir(data); err != nil || len(names) > 0 {
		return errors.Join(err, fmt.Errorf("%s is not empty: nothing is read back, so give it a new directory", data))
	}
	b := &broker{address: address, dir: data, topics: make(map[string]*topic)}
	b.put = b.toFile
	if durable {
		alone, err := openAlone(data)
		if err != nil {
			return err
		}
		defer alone.close()
		b.put, b.later = alone.put, true
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer listener.Close()
	context.AfterFunc(ctx, func() { listener.Close() })
	for {
		c, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go b.serve(c)
	}
}
