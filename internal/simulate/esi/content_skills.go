package esi

import (
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

// skillTypes are ids of skills; facts of the game.
var skillTypes = [...]int64{
	2403, 2406, 2495, 2505, 3184, 3300, 3301, 3302, 3303, 3304, 3305, 3306, 3307, 3308, 3309, 3310, 3311, 3312,
	3315, 3316, 3317, 3318, 3319, 3320, 3321, 3322, 3323, 3324, 3325, 3326, 3327, 3328, 3329, 3330, 3331, 3332,
	3333, 3334, 3335, 3336, 3337, 3338, 3339, 3340, 3341, 3342, 3343, 3344, 3345, 3346, 3347, 3348, 3349, 3350,
	3351, 3352, 3354, 3355, 3356, 3357, 3358, 3359, 3361, 3363, 3368, 3373, 3380, 3385, 3386, 3387, 3388, 3389,
	3392, 3393, 3394, 3395, 3396, 3397, 3398, 3400, 3402, 3403, 3405, 3406, 3408, 3409, 3410, 3411, 3412, 3413,
	3416, 3417, 3418, 3419, 3420, 3421, 3422, 3423, 3424, 3425, 3426, 3427, 3428, 3429, 3430, 3431, 3432, 3433,
	3434, 3435, 3436, 3437, 3438, 3439, 3440, 3441, 3442, 3443, 3444, 3446, 3447, 3449, 3450, 3451, 3452, 3453,
	3454, 3455, 3456, 3551, 3731, 3732, 3893, 3894, 3895, 4385, 4411, 11082, 11083, 11084, 11207, 11395, 11433, 11441,
	11442, 11443, 11444, 11445, 11446, 11447, 11448, 11449, 11450, 11451, 11452, 11453, 11454, 11455, 11487, 11529, 11566, 11569,
	11572, 11574, 11579, 11584, 12092, 12093, 12095, 12096, 12098, 12179, 12189, 12196, 12201, 12202, 12203, 12204, 12205, 12206,
	12207, 12208, 12209, 12210, 12211, 12212, 12213, 12214, 12215, 12241, 12305, 12365, 12366, 12367, 12441, 12442, 12484, 12485,
	12486, 12487, 13278, 13279, 16069, 16281, 16591, 16594, 16595, 16596, 16597, 16598, 16622, 17940, 18025, 18580, 19719, 19759,
	19760, 19761, 19766, 19767, 19921, 19922, 20209, 20210, 20211, 20212, 20213, 20312, 20314, 20315, 20327, 20342, 20433, 20494,
	20495, 20524, 20525, 20526, 20527, 20528, 20530, 20531, 20532, 20533, 21059, 21071, 21603, 21610, 21611, 21666, 21667, 21668,
	21718, 21789, 21790, 21791, 21802, 21803, 22043, 22242, 22536, 22541, 22551, 22552, 22578, 22761, 22806, 22807, 22808, 22809,
	23069, 23087, 23121, 23123, 23124, 23566, 23594, 23606, 23618, 23950, 24241, 24242, 24268, 24270, 24311, 24312, 24313, 24314,
	24562, 24563, 24568, 24571, 24572, 24606, 24613, 24624, 24625, 24764, 25233, 25235, 25530, 25538, 25544, 25718, 25719, 25739,
	25810, 25811, 25863, 26224, 26252, 26253, 26254, 26255, 26256, 26257, 26258, 26259, 26260, 26261, 27902, 27906, 27911, 27936,
	28073, 28164, 28374, 28585, 28609, 28615, 28656, 28667, 28879, 28880, 29029, 29637, 30324, 30325, 30327, 30532, 30537, 30538,
	30539, 30540, 30544, 30545, 30546, 30547, 30548, 30549, 30550, 30551, 30552, 30553, 30554, 30650, 30651, 30652, 30653, 30788,
	32339, 32435, 32797, 32918, 32999, 33000, 33001, 33002, 33078, 33091, 33092, 33093, 33094, 33095, 33096, 33097, 33098, 33399,
	33407, 33467, 33699, 33856, 34327, 34390, 34533, 35680, 35685, 37615, 37796, 37797, 37798, 37799, 40328, 40572, 40573, 41403,
	41404, 41405, 41406, 41407, 41408, 41409, 41410, 41537, 43702, 43703, 43728, 44067, 45746, 45748, 45749, 45750, 46152, 46153,
	46154, 46155, 46156, 47445, 47867, 47868, 47869, 47870, 47871, 47872, 47873, 47874, 47875, 49742, 49743, 52307, 52308, 52997,
	52998, 54794, 54826, 54827, 54828, 54829, 54840, 54841, 55025, 55031, 55032, 55033, 55034, 55035, 55511, 57164, 57317, 57318,
	58956, 60377, 60378, 60379, 60380, 60381, 60515, 62450, 62451, 62452, 62453, 73910, 73912, 77725, 77738, 77739, 81032, 81044,
	81050, 81364, 81365, 81366, 81367, 81368, 81369, 81372, 81373, 81374, 81375, 81377, 81896, 83094,
}

// skillPoints are those of each level of a skill of rank 1.
var skillPoints = [6]int64{0, 250, 1415, 8000, 45255, 256000}

// A training is the skills of a character: most stay as they are, some are in
// the plan and are trained, level by level, without end: when the plan is done,
// its skills are extracted and it begins anew.
type training struct {
	w       *world
	p       profile
	offset  int
	plan    int     // skills in the plan, the first ones
	rate    float64 // skill points in a second
	alpha   bool
	paused  bool
	visible int   // entries in the queue
	entry   int   // of the plan, being trained; all are done if it is their number
	start   int64 // when its training began, in seconds
	now     int64
}

// rank says how hard a skill is to train.
func rank(skill int64) int64 { return 1 + skill%7 }

func (t *training) skill(i int) int64 { return skillTypes[(t.offset+i*7)%len(skillTypes)] }

// step is the skill and the level of an entry of the plan.
func (t *training) step(entry int) (i int, level int64) {
	return entry % t.plan, int64(entry/t.plan) + 1
}

func (t *training) duration(entry int) int64 {
	i, level := t.step(entry)
	points := (skillPoints[level] - skillPoints[level-1]) * rank(t.skill(i))
	return max(60, int64(float64(points)/t.rate))
}

func (w *world) trainingOf(id int64, at time.Time) training {
	d := dice.New(w.seed, drawSkill, uint64(id))
	t := training{w: w, p: w.profileOf(id), offset: d.IntN(len(skillTypes)), now: at.Unix()}
	t.plan = 10 + d.IntN(min(40, t.p.skills-10))
	t.rate = 0.4 + 0.4*d.Float()
	t.alpha = t.p.calling == callingDormant || t.p.calling == callingAlt && d.Chance(0.5) || d.Chance(0.1)
	t.paused = d.Chance(0.06)
	t.visible = min(150, 1+int(d.LogNormal(12, 1)))
	total := int64(0)
	for e := range 5 * t.plan {
		total += t.duration(e)
	}
	// Between two plans nothing is trained for a while.
	cycle := total + int64(d.Float()*120*86400)
	phase := int64(d.Float() * float64(cycle))
	since := (t.now + phase) % cycle
	t.start = t.now - since
	for t.entry = 0; t.entry < 5*t.plan; t.entry++ {
		length := t.duration(t.entry)
		if t.start+length > t.now {
			break
		}
		t.start += length
	}
	return t
}

// level is what a skill is trained to, and its points.
func (t *training) level(i int) (level, points int64) {
	r := rank(t.skill(i))
	if i >= t.plan {
		d := dice.New(t.w.seed, drawSkill, uint64(t.p.id), uint64(i))
		level = [...]int64{0, 1, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5}[d.IntN(14)]
		points = skillPoints[level] * r
		if level < 5 && d.Chance(0.1) {
			// Trained halfway and left.
			points += (skillPoints[level+1] - skillPoints[level]) * r / 3
		}
		return level, points
	}
	level = int64(t.entry / t.plan)
	if i < t.entry%t.plan {
		level++
	}
	points = skillPoints[level] * r
	if t.entry < 5*t.plan && i == t.entry%t.plan {
		points += min(int64(float64(t.now-t.start)*t.rate), (skillPoints[level+1]-skillPoints[level])*r-1)
	}
	return level, points
}

// appendSkills appends the skills as they were at a login.
func (w *world) appendSkills(b []byte, id int64, at time.Time) []byte {
	t := w.trainingOf(id, at)
	total := int64(0)
	b = append(b, `{"skills":`...)
	b = appendList(b, t.p.skills, func(b []byte, i int) []byte {
		level, points := t.level(i)
		total += points
		active := level
		if t.alpha {
			active = min(active, 2+t.skill(i)%3)
		}
		b = appendInt(b, `{"active_skill_level":`, active)
		b = appendInt(b, `,"skill_id":`, t.skill(i))
		b = appendInt(b, `,"skillpoints_in_skill":`, points)
		b = appendInt(b, `,"trained_skill_level":`, level)
		return append(b, '}')
	})
	b = appendInt(b, `,"total_sp":`, total)
	if id%3 == 0 {
		b = appendInt(b, `,"unallocated_sp":`, id%17*5000)
	}
	return append(b, '}')
}

// appendSkillQueue appends the queue as it was at a login: what is finished
// later stays in it until the next.
func (w *world) appendSkillQueue(b []byte, id int64, at time.Time) []byte {
	t := w.trainingOf(id, at)
	count := min(t.visible, 5*t.plan-t.entry)
	if t.p.calling == callingDormant {
		count = 0
	}
	start := t.start
	return appendList(b, count, func(b []byte, n int) []byte {
		entry := t.entry + n
		i, level := t.step(entry)
		length, r := t.duration(entry), rank(t.skill(i))
		b = append(b, '{')
		if !t.paused {
			b = appendTime(b, `"finish_date":`, start+length)
			b = append(b, ',')
		}
		b = appendInt(b, `"finished_level":`, level)
		b = appendInt(b, `,"level_end_sp":`, skillPoints[level]*r)
		b = appendInt(b, `,"level_start_sp":`, skillPoints[level-1]*r)
		b = appendInt(b, `,"queue_position":`, int64(n))
		b = appendInt(b, `,"skill_id":`, t.skill(i))
		if !t.paused {
			b = appendTime(b, `,"start_date":`, start)
		}
		b = appendInt(b, `,"training_start_sp":`, skillPoints[level-1]*r)
		start += length
		return append(b, '}')
	})
}

// appendAttributes appends the attributes; a few times in its life a character
// remaps them.
func (w *world) appendAttributes(b []byte, id int64, at time.Time) []byte {
	p := w.profileOf(id)
	every := uint64(60 + id%400)
	n := slowly(p.play.session(at.Unix()), every, uint64(id)%every)
	d := dice.New(w.seed, drawAttributes, uint64(id), n)
	values := [5]int64{17, 17, 17, 17, 17}
	for range 14 {
		for {
			if i := d.IntN(5); values[i] < 27 {
				values[i]++
				break
			}
		}
	}
	session := int64(n*every-uint64(id)%every) - 1<<40
	last := p.play.start(session) + 60
	remapped := d.Chance(0.8) && last <= at.Unix()
	b = append(b, '{')
	if remapped {
		b = appendTime(b, `"accrued_remap_cooldown_date":`, last+365*86400)
		b = append(b, ',')
	}
	if d.Chance(0.7) {
		b = appendInt(b, `"bonus_remaps":`, int64(d.IntN(4)))
		b = append(b, ',')
	}
	b = appendInt(b, `"charisma":`, values[0])
	b = appendInt(b, `,"intelligence":`, values[1])
	if remapped {
		b = appendTime(b, `,"last_remap_date":`, last)
	}
	b = appendInt(b, `,"memory":`, values[2])
	b = appendInt(b, `,"perception":`, values[3])
	return append(appendInt(b, `,"willpower":`, values[4]), '}')
}
