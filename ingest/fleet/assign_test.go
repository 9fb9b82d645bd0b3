package fleet

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestShardsAreDividedEvenlyAndWhateverTheOrderOfTheMembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,8}/[0-9]{1,5}`), 1, 20, rapid.ID[string]).Draw(t, "members")
		owners := assign(members)
		count := map[string]int{}
		for shard, owner := range owners {
			require.Contains(t, members, owner, "shard %d has an owner", shard)
			count[owner]++
		}
		for _, n := range count {
			require.LessOrEqual(t, n, (Shards+len(members)-1)/len(members))
		}
		slices.Reverse(members)
		require.Equal(t, owners, assign(members))
	})
}

func TestFewShardsMoveWhenAMemberComes(t *testing.T) {
	moved := 0
	const tries = 100
	for try := range tries {
		var members []string
		for i := range 3 {
			members = append(members, fmt.Sprintf("host/%d/%d", try, i))
		}
		before, after := assign(members[:2]), assign(members)
		for shard := range Shards {
			if before[shard] != after[shard] {
				moved++
			}
		}
	}
	require.Less(t, moved, tries*Shards*6/10, "a third has to")
}

func TestEveryCharacterHasAShard(t *testing.T) {
	for _, character := range []int64{0, 1, 90000001, 2112000000, 1 << 62} {
		require.Equal(t, int(character%Shards), ShardOf(character), "as the queues of jobs are named in SQL")
	}
}
