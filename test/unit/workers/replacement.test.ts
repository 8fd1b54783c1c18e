import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dueAt } from '../../../src/workers/replacement/due.js';
import type {
	ReplacementEffect,
	ReplacementEvent,
	ReplacementPlan,
	ReplacementState,
} from '../../../src/workers/replacement/model.js';
import { planReplacement, stepReplacement } from '../../../src/workers/replacement/steps.js';

const plan: ReplacementPlan = {
	news: ['n1', 'n2'],
	olds: ['o1', 'o2'],
	order: 'new_first',
	surplusFirst: false,
	worksFromStart: false,
	surge: 2,
	soakMs: 1_000,
	proofTimeoutMs: 10_000,
	settle: { requests: 5, capMs: 500 },
	compareMs: 0,
	drainTimeoutMs: 30_000,
	goneTimeoutMs: 5_000,
};

/** Plays events and writes down the effects, as `effect id`. */
function play(settings: Partial<ReplacementPlan> = {}) {
	let state = planReplacement({ ...plan, ...settings });
	const happened = (event: ReplacementEvent): string[] => {
		const step = stepReplacement(state, event);
		state = step.state;
		if (state.stage.stage !== 'finished') checkDue(state, event.at);
		return step.effects.map(text);
	};
	const probed = (id: string, at: number, healthy = true) =>
		happened({ event: 'probed', id, healthy, detail: 'said so', at });
	const prove = (ids: string[], at: number): string[] =>
		ids.flatMap((id) => [
			...happened({ event: 'process_started', id, at }),
			...probed(id, at),
			...probed(id, at + 1_000),
		]);
	return { happened, probed, prove };
}

/** The runner sets its one timer by dueAt: time alone must do something then, and nothing before. */
function checkDue(state: ReplacementState, now: number): void {
	const effectsAt = (at: number): unknown[] => {
		const { state: after, effects } = stepReplacement(state, { event: 'time_passed', at });
		return after.stage.stage === state.stage.stage ? effects : [...effects, after.stage];
	};
	const due = dueAt(state);
	const last = Number.isFinite(due) ? due - 1 : now + 1_000_000;
	assert.deepEqual(effectsAt(Math.max(now, last)), [], `before ${due}`);
	if (Number.isFinite(due)) assert.notDeepEqual(effectsAt(due), [], `at ${due}`);
}

const text = (effect: ReplacementEffect): string =>
	effect.effect === 'finish' ? `finish ${effect.outcome}` : `${effect.effect} ${effect.id}`;

test('a good set is started, proven, joined canary first, settled, and only then the old ones drain', () => {
	const { happened, prove } = play();
	assert.deepEqual(happened({ event: 'begun', at: 0 }), ['start n1', 'start n2']);
	assert.deepEqual(prove(['n1'], 100), []);
	assert.deepEqual(prove(['n2'], 200), ['join n1']);
	assert.deepEqual(happened({ event: 'joined', id: 'n1', at: 1_300 }), []);
	assert.deepEqual(happened({ event: 'served', id: 'n1', requests: 4, at: 1_310 }), []);
	assert.deepEqual(happened({ event: 'served', id: 'n1', requests: 5, at: 1_320 }), ['approve n1', 'join n2']);
	assert.deepEqual(happened({ event: 'joined', id: 'n2', at: 1_400 }), []);
	// Without traffic, time is enough.
	assert.deepEqual(happened({ event: 'time_passed', at: 1_900 }), ['approve n2', 'drain o1', 'drain o2']);
	assert.deepEqual(happened({ event: 'gone', id: 'o1', cutOff: 0, at: 2_000 }), []);
	assert.deepEqual(happened({ event: 'gone', id: 'o2', cutOff: 3, at: 2_100 }), ['finish back']);
});

test('a new worker that misses one probe is asked once more, and soaks anew', () => {
	// Some apps close a listen and open it again; two misses in a row are no such thing.
	const { happened, probed, prove } = play({ news: ['n1'] });
	happened({ event: 'begun', at: 0 });
	happened({ event: 'process_started', id: 'n1', at: 0 });
	probed('n1', 100);
	assert.deepEqual(probed('n1', 600, false), []);
	assert.deepEqual(probed('n1', 800), []);
	assert.deepEqual(probed('n1', 1_700), [], 'a soak that was broken does not count');
	assert.deepEqual(probed('n1', 1_800), ['join n1']);
	happened({ event: 'joined', id: 'n1', at: 1_900 });
	assert.deepEqual(probed('n1', 2_000, false), []);
	assert.deepEqual(happened({ event: 'served', id: 'n1', requests: 9, at: 2_100 }), [], 'it waits for the next answer');
	assert.deepEqual(probed('n1', 2_200), ['approve n1', 'drain o1', 'drain o2']);
	const other = play({ news: ['n1'] });
	other.happened({ event: 'begun', at: 0 });
	other.prove(['n1'], 0);
	other.happened({ event: 'joined', id: 'n1', at: 1_100 });
	assert.deepEqual(other.probed('n1', 1_200, false), []);
	assert.deepEqual(other.probed('n1', 1_300, false), ['drain n1']);
	assert.deepEqual(prove(['n1'], 3_000), []);
});

test('whatever befalls a new worker before the old ones drain ends the new set and keeps the old', () => {
	const falls: Record<string, (game: ReturnType<typeof play>) => string[]> = {
		'its process ends while it is proven': ({ happened }) =>
			happened({ event: 'fell', id: 'n2', detail: 'gone', at: 50 }),
		'it turns unhealthy in the soak': ({ happened, probed }) => {
			happened({ event: 'process_started', id: 'n1', at: 50 });
			probed('n1', 60);
			probed('n1', 70, false);
			return probed('n1', 80, false);
		},
		'it is not healthy in time': ({ happened, probed }) => {
			happened({ event: 'process_started', id: 'n1', at: 50 });
			probed('n1', 60, false);
			return happened({ event: 'time_passed', at: 10_050 });
		},
		'it may not join': ({ happened, prove }) => {
			prove(['n1', 'n2'], 100);
			return happened({
				event: 'fell',
				id: 'n1',
				detail: 'EADDRINUSE',
				at: 1_200,
			});
		},
		'it dies as the canary': ({ happened, prove }) => {
			prove(['n1', 'n2'], 100);
			happened({ event: 'joined', id: 'n1', at: 1_200 });
			return happened({ event: 'fell', id: 'n1', detail: 'died', at: 1_250 });
		},
		'the whole is called off': ({ happened }) => happened({ event: 'called_off', detail: 'too late', at: 500 }),
	};
	for (const [what, fall] of Object.entries(falls)) {
		const game = play();
		game.happened({ event: 'begun', at: 0 });
		// What may have been public already has clients, and drains.
		const first = what.includes('join') || what.includes('canary') ? 'drain n1' : 'end n1';
		assert.deepEqual(fall(game), [first, 'end n2'], what);
		assert.deepEqual(game.happened({ event: 'gone', id: 'n1', cutOff: 0, at: 0 }), [], what);
		assert.deepEqual(game.happened({ event: 'gone', id: 'n2', cutOff: 0, at: 0 }), ['finish refused'], what);
	}
});

test('a new worker that had joined is given the time to drain when the set is refused, and then ended by force', () => {
	const refused = () => {
		const game = play();
		game.happened({ event: 'begun', at: 0 });
		game.prove(['n1', 'n2'], 0);
		game.happened({ event: 'joined', id: 'n1', at: 1_000 });
		const fell = {
			event: 'fell',
			id: 'n1',
			detail: 'unwell',
			at: 1_100,
		} as const;
		assert.deepEqual(game.happened(fell), ['drain n1', 'end n2']);
		assert.deepEqual(game.happened({ event: 'gone', id: 'n2', cutOff: 0, at: 1_200 }), []);
		assert.deepEqual(game.happened({ event: 'time_passed', at: 31_099 }), []);
		return game;
	};
	assert.deepEqual(refused().happened({ event: 'gone', id: 'n1', cutOff: 0, at: 31_099 }), ['finish refused']);
	const { happened } = refused();
	assert.deepEqual(happened({ event: 'time_passed', at: 31_100 }), ['end n1']);
	assert.deepEqual(happened({ event: 'time_passed', at: 36_099 }), []);
	assert.deepEqual(happened({ event: 'time_passed', at: 36_100 }), ['finish failed']);
});

test('with surge 1 each new worker takes the place of one old before the next starts', () => {
	const { happened, prove } = play({ surge: 1 });
	assert.deepEqual(happened({ event: 'begun', at: 0 }), ['start n1']);
	assert.deepEqual(prove(['n1'], 0), ['join n1']);
	happened({ event: 'joined', id: 'n1', at: 1_000 });
	assert.deepEqual(happened({ event: 'time_passed', at: 1_500 }), ['approve n1', 'drain o1']);
	assert.deepEqual(happened({ event: 'gone', id: 'o1', cutOff: 0, at: 2_000 }), ['start n2']);
});

test('fewer new than old: the surplus leaves with the last batch; none new: the old ones only leave', () => {
	const { happened, prove } = play({ news: ['n1'], surge: 1 });
	happened({ event: 'begun', at: 0 });
	prove(['n1'], 0);
	happened({ event: 'joined', id: 'n1', at: 1_000 });
	assert.deepEqual(happened({ event: 'time_passed', at: 1_500 }), ['approve n1', 'drain o1', 'drain o2']);
	assert.deepEqual(play({ news: [] }).happened({ event: 'begun', at: 0 }), ['drain o1', 'drain o2']);
	assert.deepEqual(play({ news: [], olds: [] }).happened({ event: 'begun', at: 0 }), ['finish back']);
});

test('an old worker that does not leave is ended by force, and one that cannot be ended fails the replacement', () => {
	const { happened, prove } = play({ news: ['n1'], olds: ['o1'] });
	happened({ event: 'begun', at: 0 });
	prove(['n1'], 0);
	happened({ event: 'joined', id: 'n1', at: 1_000 });
	assert.deepEqual(happened({ event: 'time_passed', at: 2_000 }), ['approve n1', 'drain o1']);
	assert.deepEqual(happened({ event: 'time_passed', at: 31_999 }), []);
	assert.deepEqual(happened({ event: 'time_passed', at: 32_000 }), ['end o1']);
	assert.deepEqual(happened({ event: 'time_passed', at: 37_000 }), ['finish failed']);
});

test('in place, an old worker leaves before the new one of its batch starts', () => {
	const { happened, prove } = play({ order: 'old_first', surge: 1 });
	assert.deepEqual(happened({ event: 'begun', at: 0 }), ['drain o1']);
	assert.deepEqual(happened({ event: 'gone', id: 'o1', cutOff: 0, at: 100 }), ['start n1']);
	assert.deepEqual(prove(['n1'], 200), ['join n1']);
	happened({ event: 'joined', id: 'n1', at: 1_200 });
	assert.deepEqual(happened({ event: 'time_passed', at: 1_700 }), ['approve n1', 'drain o2']);
});

test('a crash of a settled worker while the old ones drain is no refusal any more', () => {
	const { happened, prove } = play({ news: ['n1'], olds: ['o1'] });
	happened({ event: 'begun', at: 0 });
	prove(['n1'], 0);
	happened({ event: 'joined', id: 'n1', at: 1_000 });
	happened({ event: 'time_passed', at: 2_000 });
	assert.deepEqual(happened({ event: 'fell', id: 'n1', detail: 'crash', at: 2_100 }), []);
	assert.deepEqual(happened({ event: 'gone', id: 'o1', cutOff: 0, at: 2_200 }), ['finish back']);
});

test('without overlap never more run than the new set has: what is more than that leaves before the first new one starts', () => {
	const { happened, prove } = play({
		order: 'old_first',
		surplusFirst: true,
		surge: 1,
		news: ['n1'],
		olds: ['o1', 'o2', 'o3'],
	});
	assert.deepEqual(happened({ event: 'begun', at: 0 }), ['drain o1', 'drain o2', 'drain o3']);
	assert.deepEqual(gone(happened, ['o1', 'o2'], 10), []);
	assert.deepEqual(gone(happened, ['o3'], 20), ['start n1']);
	assert.deepEqual(prove(['n1'], 100), ['join n1']);
	happened({ event: 'joined', id: 'n1', at: 2_000 });
	assert.deepEqual(happened({ event: 'time_passed', at: 2_500 }), ['approve n1', 'finish back']);
	for (const [news, olds, first] of [
		[
			['n1', 'n2'],
			['o1', 'o2', 'o3'],
			['drain o1', 'drain o2'],
		],
		[[], ['o1', 'o2'], ['drain o1', 'drain o2']],
		[['n1'], [], ['start n1']],
	] as const) {
		const { happened: hear } = play({
			order: 'old_first',
			surplusFirst: true,
			surge: 1,
			news: [...news],
			olds: [...olds],
		});
		assert.deepEqual(hear({ event: 'begun', at: 0 }), first);
	}
});

test('new workers that take jobs from their start drain when they are refused, though they never joined', () => {
	const { happened } = play({ worksFromStart: true });
	happened({ event: 'begun', at: 0 });
	for (const id of ['n1', 'n2']) happened({ event: 'process_started', id, at: 10 });
	assert.deepEqual(happened({ event: 'fell', id: 'n1', detail: 'it threw', at: 20 }), ['drain n1', 'drain n2']);
	assert.deepEqual(gone(happened, ['n1'], 30), []);
	// A job that outlasts the drain is cut off.
	assert.deepEqual(happened({ event: 'time_passed', at: 30_020 }), ['end n2']);
	assert.deepEqual(gone(happened, ['n2'], 30_030), ['finish refused']);
});

test('a job that was cut off counts once, though the drain and the end of its worker both tell of it', () => {
	let state = planReplacement({ ...plan, news: [], olds: ['o1', 'o2'], surge: 1 });
	const hear = (event: ReplacementEvent) => {
		state = stepReplacement(state, event).state;
	};
	hear({ event: 'begun', at: 0 });
	hear({ event: 'time_passed', at: 30_000 });
	for (const _ of ['drain', 'end']) hear({ event: 'gone', id: 'o1', cutOff: 1, at: 30_100 });
	assert.equal(state.cutOff, 1);
});

function gone(happened: (event: ReplacementEvent) => string[], ids: readonly string[], at: number): string[] {
	return ids.flatMap((id) => happened({ event: 'gone', id, cutOff: 0, at }));
}

test('where answers are compared, both sets serve for the window before the new one is approved of and the old one drains', () => {
	const compareMs = 10_000;
	const serving = (settings: Partial<ReplacementPlan> = {}) => {
		const game = play({ compareMs, ...settings });
		game.happened({ event: 'begun', at: 0 });
		game.prove(['n1', 'n2'], 0);
		game.happened({ event: 'joined', id: 'n1', at: 1_100 });
		game.happened({ event: 'time_passed', at: 1_600 });
		game.happened({ event: 'joined', id: 'n2', at: 1_600 });
		assert.deepEqual(game.happened({ event: 'time_passed', at: 2_100 }), [], 'the window begins');
		return game;
	};
	const compared = (isWorse: boolean, at: number): ReplacementEvent => ({
		event: 'compared',
		seen: 'figures',
		isWorse,
		at,
	});
	const accepted = ['approve n1', 'approve n2', 'drain o1', 'drain o2'];
	const refused = ['drain n1', 'drain n2'];
	const rows: [string, (game: ReturnType<typeof serving>) => string[], string[]][] = [
		['time alone', ({ happened }) => happened({ event: 'time_passed', at: 12_100 }), accepted],
		[
			'answers that are as good',
			({ happened }) => {
				assert.deepEqual(happened(compared(false, 5_000)), []);
				return happened({ event: 'time_passed', at: 12_100 });
			},
			accepted,
		],
		['answers that are worse', ({ happened }) => happened(compared(true, 3_000)), refused],
		['a crash', ({ happened }) => happened({ event: 'fell', id: 'n2', detail: 'it ended', at: 3_000 }), refused],
		['the end of the whole', ({ happened }) => happened({ event: 'called_off', detail: 'late', at: 3_000 }), refused],
		[
			'two probes missed',
			({ probed, happened }) => {
				assert.deepEqual(probed('n1', 12_000, false), []);
				assert.deepEqual(happened({ event: 'time_passed', at: 12_100 }), [], 'it waits for the next answer');
				return probed('n1', 12_200, false);
			},
			refused,
		],
		[
			'one probe missed',
			({ probed }) => {
				assert.deepEqual(probed('n1', 12_000, false), []);
				return probed('n1', 12_200);
			},
			accepted,
		],
	];
	for (const [what, happens, expected] of rows) assert.deepEqual(happens(serving()), expected, what);
	const late = serving();
	late.happened({ event: 'time_passed', at: 12_100 });
	assert.deepEqual(late.happened(compared(true, 12_200)), [], 'once the old ones drain the new set is the set');
	const worse = serving();
	worse.happened(compared(true, 3_000));
	worse.happened({ event: 'gone', id: 'n1', cutOff: 0, at: 3_100 });
	assert.deepEqual(worse.happened({ event: 'gone', id: 'n2', cutOff: 0, at: 3_200 }), ['finish refused']);
});

test('nothing is compared without old workers, in place, or in a later batch', () => {
	const first = play({ compareMs: 10_000, olds: [], news: ['n1'] });
	first.happened({ event: 'begun', at: 0 });
	first.prove(['n1'], 0);
	first.happened({ event: 'joined', id: 'n1', at: 1_100 });
	assert.deepEqual(first.happened({ event: 'time_passed', at: 1_600 }), ['approve n1', 'finish back']);
	const second = play({ compareMs: 10_000, surge: 1 });
	second.happened({ event: 'begun', at: 0 });
	second.prove(['n1'], 0);
	second.happened({ event: 'joined', id: 'n1', at: 1_100 });
	assert.deepEqual(second.happened({ event: 'time_passed', at: 1_600 }), []);
	assert.deepEqual(second.happened({ event: 'time_passed', at: 11_600 }), ['approve n1', 'drain o1']);
	assert.deepEqual(second.happened({ event: 'gone', id: 'o1', cutOff: 0, at: 11_700 }), ['start n2']);
	second.prove(['n2'], 12_000);
	second.happened({ event: 'joined', id: 'n2', at: 13_100 });
	assert.deepEqual(second.happened({ event: 'time_passed', at: 13_600 }), ['approve n2', 'drain o2']);
});
