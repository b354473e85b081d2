package shape

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fill puts something into every field, for the codec to write.
func fill(v reflect.Value, r *rand.Rand) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.Type() == reflect.TypeFor[*string]() {
			s := fmt.Sprint("s", r.IntN(1000))
			v.Set(reflect.ValueOf(&s))
		}
	case reflect.String:
		v.SetString(fmt.Sprint("s", r.IntN(1000)))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.IntN(100)))
	case reflect.Slice:
		n := r.IntN(3)
		s := reflect.MakeSlice(v.Type(), n, n)
		for i := range n {
			fill(s.Index(i), r)
		}
		v.Set(s)
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "UnknownTags" && name != "Version" {
				fill(v.Field(i), r)
			}
		}
	}
}

func everyRequest(t testing.TB, visit func(req kmsg.Request, body []byte)) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	for key := range layouts {
		probe := kmsg.RequestForKey(key)
		for version := int16(0); version <= probe.MaxVersion(); version++ {
			for range 20 {
				req := kmsg.RequestForKey(key)
				fill(reflect.ValueOf(req).Elem(), r)
				req.SetVersion(version)
				visit(req, req.AppendTo(nil))
			}
		}
	}
}

func TestEveryVersionOfEveryRequestIsAcceptedToItsEnd(t *testing.T) {
	everyRequest(t, func(req kmsg.Request, body []byte) {
		rest, err := walk(req.Key(), req.GetVersion(), body)
		if err != nil || len(rest) != 0 {
			t.Fatalf("%s v%d: %v, %d of %d bytes left", kmsg.NameForKey(req.Key()), req.GetVersion(), err, len(rest), len(body))
		}
		if got := Flexible(req.Key(), req.GetVersion()); got != req.IsFlexible() {
			t.Fatalf("%s v%d: flexible %t, want %t", kmsg.NameForKey(req.Key()), req.GetVersion(), got, req.IsFlexible())
		}
	})
}

func TestWhatIsCutOffIsRefused(t *testing.T) {
	everyRequest(t, func(req kmsg.Request, body []byte) {
		for n := range body {
			if Check(req.Key(), req.GetVersion(), body[:n]) == nil {
				t.Fatalf("%s v%d: the first %d of %d bytes are accepted", kmsg.NameForKey(req.Key()), req.GetVersion(), n, len(body))
			}
		}
	})
}

func TestTagBombsAreRefused(t *testing.T) {
	for _, body := range [][]byte{
		{1, 1, 0xff, 0xff, 0xff, 0x7f},             // 2^28-1 tags
		{1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f},       // 2^32-1
		append([]byte{1, 1, 17}, tags(17)...),      // one too many
		{0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0, 0, 0}, // a long name
	} {
		if Check(18, 3, body) == nil {
			t.Errorf("%x is accepted", body)
		}
	}
	if err := Check(18, 3, append([]byte{1, 1, 16}, tags(16)...)); err != nil {
		t.Errorf("as many as there may be: %v", err)
	}
}

// tags are tagged fields without a value.
func tags(n byte) (b []byte) {
	for i := range n {
		b = append(b, i, 0)
	}
	return b
}

// bombs are requests of few bytes that claim much.
var bombs = []struct {
	name         string
	key, version int16
	body         []byte
}{
	{"2^28 tags", 18, 3, []byte{1, 1, 0xff, 0xff, 0xff, 0x7f}},
	{"a tag of 2^32-1 bytes", 18, 3, []byte{1, 1, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}},
	{"a varint without an end", 18, 3, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
	{"2^31-1 topics", 3, 1, []byte{0x7f, 0xff, 0xff, 0xff}},
	{"-2 topics", 3, 1, []byte{0xff, 0xff, 0xff, 0xfe}},
	{"2^32-2 topics", 3, 9, []byte{0xff, 0xff, 0xff, 0xff, 0x0f}},
	{"a topic of 32767 bytes", 3, 1, []byte{0, 0, 0, 1, 0x7f, 0xff}},
	{"2^31-1 partitions", 0, 3, []byte{0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 'x', 0x7f, 0xff, 0xff, 0xff}},
	{"a batch of 2^31-1 bytes", 0, 3, []byte{0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 'x', 0, 0, 0, 1, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}},
	{"a token of 2^31-1 bytes", 36, 0, []byte{0x7f, 0xff, 0xff, 0xff}},
	{"null as a mechanism", 17, 1, []byte{0xff, 0xff}},
	{"2^20 groups of nothing", 42, 0, append([]byte{0, 0x10, 0, 1}, make([]byte, 1<<21+2)...)},
}

func TestBombsAreRefused(t *testing.T) {
	for _, b := range bombs {
		allocated := testing.AllocsPerRun(1, func() {
			if Check(b.key, b.version, b.body) == nil {
				t.Errorf("%s is accepted", b.name)
			}
		})
		if allocated > 10 {
			t.Errorf("%s: refusing it takes %v allocations", b.name, allocated)
		}
	}
}

// What is accepted makes the codec allocate in proportion to the request.
func TestWhatIsAcceptedCostsInProportion(t *testing.T) {
	for _, tt := range []struct {
		name         string
		key, version int16
		element      []byte
		head         []byte // in front of the count
		tail         []byte
	}{
		{"topics of Metadata", 3, 9, []byte{1, 0}, nil, []byte{1, 0, 0, 0}},
		{"topics of Produce", 0, 9, []byte{1, 1, 0}, []byte{0, 0, 1, 0, 0, 0, 0}, []byte{0}},
		{"topics of OffsetCommit", 8, 8, []byte{1, 1, 0}, []byte{1, 0, 0, 0, 0, 1, 0}, []byte{0}},
	} {
		const n = 100_000
		body := append([]byte(nil), tt.head...)
		body = binary.AppendUvarint(body, n+1)
		for range n {
			body = append(body, tt.element...)
		}
		body = append(body, tt.tail...)
		if err := Check(tt.key, tt.version, body); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		req := kmsg.RequestForKey(tt.key)
		req.SetVersion(tt.version)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := req.ReadFrom(body); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 100*uint64(len(body)) {
			t.Errorf("%s: %d bytes take %d", tt.name, len(body), took)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, b := range bombs {
		f.Add(b.key, b.version, b.body)
	}
	everyRequest(f, func(req kmsg.Request, body []byte) {
		if len(body) < 200 {
			f.Add(req.Key(), req.GetVersion(), body)
		}
	})
	f.Add(int16(18), int16(3), []byte{1, 1, 0xff, 0xff, 0xff, 0x7f})
	f.Add(int16(3), int16(1), []byte{0xff, 0xff, 0xff, 0xfe})
	f.Add(int16(0), int16(3), []byte{0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		probe := kmsg.RequestForKey(key)
		if probe == nil || version < 0 || version > probe.MaxVersion() || Check(key, version, body) != nil {
			return
		}
		probe.SetVersion(version)
		probe.ReadFrom(body) //nolint:errcheck // it must only end, and not panic
	})
}
