package shape

import (
	"fmt"
	"math/rand/v2"
	"reflect"
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

func everyRequest(t *testing.T, visit func(req kmsg.Request, body []byte)) {
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
		{1, 1, 17, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0},   // one too many
		{0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0, 0, 0}, // a long name
	} {
		if Check(18, 3, body) == nil {
			t.Errorf("%x is accepted", body)
		}
	}
}

func FuzzCheck(f *testing.F) {
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
