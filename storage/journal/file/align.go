package file

import "unsafe"

// alignment is how far a buffer's first aligned byte is.
func alignment(b []byte) int {
	if over := int(uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (block - 1)); over != 0 {
		return block - over
	}
	return 0
}
