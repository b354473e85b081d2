// Package e2e runs the real binary under real clients. Its tests stand behind
// the build tag e2e, for they need what scripts/install-test-tools installs.
package e2e
