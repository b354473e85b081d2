package wire

import "context"

// withFlush is the context of a finish: before somebody waits on it, the
// answers that are ready go out.
type withFlush struct {
	context.Context
	out *output
}

// Done is asked for by who is about to wait.
func (w withFlush) Done() <-chan struct{} {
	if w.out.err == nil {
		if err := w.out.flush(); err != nil {
			w.out.err = err
			w.out.conn.cancel(err)
		}
	}
	return w.Context.Done()
}
