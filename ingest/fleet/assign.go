package fleet

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Shards is how many parts the characters are divided into; a part always has one
// owner. It cannot be changed while any process runs.
const Shards = 16

// ShardOf is the part that a character belongs to.
func ShardOf(character int64) int { return int(uint64(character) % Shards) }

// weigh is how much a member wants a shard. It depends on nothing but the two.
func weigh(member string, shard int) uint64 {
	h := xxhash.New()
	// A hash never fails to write.
	_, _ = h.WriteString(member)
	_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, uint64(shard)))
	return h.Sum64()
}

// assign divides the shards among members, whatever their order: each shard goes to
// the member that wants it most, of those that have not got their part yet. So all
// have nearly as many, and few shards move when a member comes or goes.
func assign(members []string) [Shards]string {
	var owners [Shards]string
	if len(members) == 0 {
		return owners
	}
	type wish struct {
		weight uint64
		member string
		shard  int
	}
	var wishes []wish
	for shard := range Shards {
		for _, member := range members {
			wishes = append(wishes, wish{weigh(member, shard), member, shard})
		}
	}
	slices.SortFunc(wishes, func(a, b wish) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.member, b.member), cmp.Compare(a.shard, b.shard))
	})
	most := (Shards + len(members) - 1) / len(members)
	has := map[string]int{}
	for _, w := range wishes {
		if owners[w.shard] == "" && has[w.member] < most {
			owners[w.shard] = w.member
			has[w.member]++
		}
	}
	return owners
}
