package partition

import "testing"

func TestSlabsThatNobodyNeedsAreGivenBackAndOthersAreKept(t *testing.T) {
	var s slabs
	hold := func(n int) (owners []*bytesOwner) {
		for range n { // each fills a slab
			o := &bytesOwner{}
			o.refs.Store(1)
			s.copyOf(make([]byte, slabBytes), o)
			owners = append(owners, o)
		}
		return owners
	}
	letGo := func(owners []*bytesOwner) {
		for _, o := range owners {
			o.release()
		}
	}
	letGo(hold(slabsKept + 10))
	if got := len(s.free); got != slabsKept {
		t.Errorf("%d unused slabs are kept, want %d", got, slabsKept)
	}
	s.trim() // all of them were in use since the beginning
	letGo(hold(5))
	s.trim()
	if got := len(s.free); got < 4 || got > 6 {
		t.Errorf("%d unused slabs are left after 5 were needed at once, want about 5", got)
	}
	s.trim()
	if got := len(s.free); got != 0 {
		t.Errorf("%d unused slabs are left after none was needed, want 0", got)
	}
}
