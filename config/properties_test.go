package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestPropertiesFollowJavasRules(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"all separators", "a=1\nb:2\nc 3\nd\t=\t4\n", "a=1|b=2|c=3|d=4"},
		{"comments", "# one\n  ! two\n\na=#1\n", "a=#1"},
		{"continued", "a=one,\\\n   two\\\n\tthree\nb=4", "a=one,twothree|b=4"},
		{"a comment sign in a continued line", "a=1\\\n#2\n", "a=1#2"},
		{"an even number of backslashes", "a=c:\\\\\nb=1\n", `a=c:\|b=1`},
		{"escapes", `a\ b\=c=\t\u00e9\q\:` + "\n", "a b=c=\té" + "q:"},
		{"two halves of one character", `a=\ud83d\ude00`, "a=😀"},
		{"no value", "a\nb=\nc:", "a=|b=|c="},
		{"windows", "a=1\r\nb=2\r\n", "a=1|b=2"},
		{"blanks at the end stay", "a= 1 \n", "a=1 "},
		{"latin-1", "a=caf\xe9\n", "a=café"},
		{"twice", "a=1\na=2\n", "a=1|a=2"},
		{"a jaas line", "sasl.jaas.config=x.PlainLoginModule required \\\n  username=\"a\" \\\n  password=\"b=c\";\n", `sasl.jaas.config=x.PlainLoginModule required username="a" password="b=c";`},
		{"ends in a backslash", `a=1\`, "a=1"},
	}
	for _, test := range tests {
		got, err := ParseProperties([]byte(test.text))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var text []string
		for _, p := range got {
			text = append(text, p.Key+"="+p.Value)
		}
		if strings.Join(text, "|") != test.want {
			t.Errorf("%s: %q, want %q", test.name, strings.Join(text, "|"), test.want)
		}
	}
}

func TestPropertiesKnowTheirLines(t *testing.T) {
	got, err := ParseProperties([]byte("#\na=1\\\n2\nb=3\n"))
	if err != nil || got[0].Line != 2 || got[1].Line != 4 {
		t.Errorf("%+v, %v; want lines 2 and 4", got, err)
	}
}

func TestPropertiesHaveLimits(t *testing.T) {
	if _, err := ParseProperties(make([]byte, propertiesSizeMax+1)); err == nil {
		t.Error("a file above the limit was read")
	}
	if _, err := ParseProperties([]byte(strings.Repeat("a=1\n", propertiesCountMax+1))); err == nil {
		t.Error("more keys than the limit were read")
	}
}

func FuzzProperties(f *testing.F) {
	for _, seed := range []string{"a=1\nb: 2\\\n  3", `\u0041\=x = y`, "#c\r\n!d\ra", "\\", "a\\u", "\xff=\xfe"} {
		f.Add([]byte(seed))
	}
	escape := func(text string) string {
		var out strings.Builder
		for _, r := range text {
			if r > 0xffff {
				fmt.Fprintf(&out, "%c", r)
				continue
			}
			fmt.Fprintf(&out, `\u%04x`, r)
		}
		return out.String()
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := ParseProperties(text)
		if err != nil {
			return
		}
		for _, p := range found {
			again, err := ParseProperties([]byte(escape(p.Key) + "=" + escape(p.Value)))
			if err != nil || len(again) != 1 || again[0].Key != p.Key || again[0].Value != p.Value {
				t.Fatalf("%+v written and read again is %+v, %v", p, again, err)
			}
		}
	})
}
