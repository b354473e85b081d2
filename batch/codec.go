package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	zstdWindowMax  = 32 << 20 // bytes that a zstd stream may make us keep
	roomRatio      = 4        // the first room for records, in times their compressed size
	snappyRatioMax = 22       // 3 bytes of snappy say 64 at most
)

// xerial is how Java's snappy streams begin.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHead = 16 // magic, version, compatible version

// open gives a batch's records, decompressed to max bytes at most.
func open(b []byte, max int) ([]byte, error) {
	h, err := Parse(b)
	if err != nil {
		return nil, err
	}
	packed := b[HeaderSize:]
	var records []byte
	switch codec := h.Attributes.Codec(); codec {
	case None:
		return packed, nil
	case Gzip:
		records, err = openGzip(packed, max)
	case Snappy:
		records, err = openSnappy(packed, max)
	case LZ4:
		records, err = readBounded(lz4.NewReader(bytes.NewReader(packed)), len(packed), max)
	case Zstd:
		records, err = openZstd(packed, max)
	default:
		return nil, fmt.Errorf("%w: no codec has the number %d", kerr.UnsupportedCompressionType, codec)
	}
	if err != nil && !errors.Is(err, kerr.MessageTooLarge) {
		return nil, fmt.Errorf("%w: records do not decompress: %w", kerr.CorruptMessage, err)
	}
	return records, err
}

func openGzip(packed []byte, max int) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return readBounded(r, len(packed), max)
}

// zstdDecoders keep their windows, which are most of a decoder's cost.
var zstdDecoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdWindowMax))
	if err != nil {
		panic(err) // no option of ours can be wrong
	}
	return d
}}

func openZstd(packed []byte, max int) ([]byte, error) {
	d := zstdDecoders.Get().(*zstd.Decoder)
	defer zstdDecoders.Put(d)
	if err := d.Reset(bytes.NewReader(packed)); err != nil {
		return nil, err
	}
	records, err := readBounded(d, len(packed), max)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		err = fmt.Errorf("%w: %w", kerr.MessageTooLarge, err)
	}
	return records, errors.Join(err, d.Reset(nil)) // it lets go of packed
}

// readBounded reads what a stream of so many bytes holds, to max bytes at most.
func readBounded(r io.Reader, packed, max int) ([]byte, error) {
	var records bytes.Buffer
	records.Grow(min(packed*roomRatio, max) + bytes.MinRead)
	n, err := records.ReadFrom(io.LimitReader(r, int64(max)+1))
	if n > int64(max) {
		return nil, tooLarge(max)
	}
	return records.Bytes(), err
}

func tooLarge(max int) error {
	return fmt.Errorf("%w: records decompress to more than %d bytes", kerr.MessageTooLarge, max)
}

func openSnappy(packed []byte, max int) ([]byte, error) {
	if !bytes.HasPrefix(packed, xerial) {
		return openSnappyBlock(nil, packed, max)
	}
	if len(packed) < xerialHead {
		return nil, io.ErrUnexpectedEOF
	}
	var records []byte
	for packed = packed[xerialHead:]; len(packed) > 0; {
		if len(packed) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		n := binary.BigEndian.Uint32(packed)
		if uint64(n) > uint64(len(packed)-4) {
			return nil, io.ErrUnexpectedEOF
		}
		var err error
		if records, err = openSnappyBlock(records, packed[4:4+n], max); err != nil {
			return nil, err
		}
		packed = packed[4+n:]
	}
	return records, nil
}

func openSnappyBlock(dst, block []byte, max int) ([]byte, error) {
	n, err := s2.DecodedLen(block)
	switch {
	case err != nil:
		return nil, err
	case n > snappyRatioMax*len(block):
		return nil, fmt.Errorf("%d bytes of snappy claim to hold %d", len(block), n)
	case n > max-len(dst):
		return nil, tooLarge(max)
	}
	dst = slices.Grow(dst, n)
	opened, err := s2.Decode(dst[len(dst):len(dst)+n], block)
	return dst[:len(dst)+len(opened)], err
}
