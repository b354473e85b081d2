package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"milena/config"
)

// release is set when a release is built: -ldflags "-X main.release=1.2.3".
var release string

// version is the release, else what the build knows about its source.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+"
		}
	}
	if revision == "" {
		return "dev"
	}
	return "dev-" + revision + dirty
}

func newVersion(c *console) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Which milena this is", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(c.out, "milena %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// newConfig is for those who write documentation.
func newConfig(c *console) *cobra.Command {
	docs := &cobra.Command{
		Use: "docs", Short: "Write the page about all keys", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return config.WriteDocs(c.out) },
	}
	parent := group("config", "The keys of an instance", docs)
	parent.Hidden = true
	return parent
}
