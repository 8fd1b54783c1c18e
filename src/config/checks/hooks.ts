/** The keys below `rollout.hooks`, and what the schema alone cannot see of them. */
import type { Conflict } from './conflicts.js';
import type { Config } from '../schema.js';
import { duration, list, section, text, userName } from '../value-types.js';
import { appUserDefault, controlUser } from './system-users.js';

const wordsMax = 64;

const hook = section({
	command: list(text(), wordsMax, 'texts')
		.refine((words) => words.length > 0, { error: 'a program and its arguments' })
		.describe('Program and its arguments, run in / without a shell; must be given.'),
	user: userName
		.optional()
		.describe(
			'System user in whose worker host the command runs, neither root nor rollcall; under systemd it must be given; default: the user of the daemon.',
		),
	timeout: duration()
		.prefault('30s')
		.describe(
			'Longest that the command may run before it is killed with all that it started, as a duration; default 30s.',
		),
});

export const hooks = section({
	before_rollout: hook
		.optional()
		.describe('Run once by the coordinator before the first node; if it fails, the rollout halts; default none.'),
	after_rollout: hook
		.optional()
		.describe('Run once by the coordinator when a rollout is completed or aborted; default none.'),
	before_node: hook
		.optional()
		.describe('Run by each node before its workers are replaced; if it fails, the node is refused; default none.'),
	after_node: hook
		.optional()
		.describe('Run by each node once its new workers are proven; if it fails, so has the node; default none.'),
});

const hookNames = ['before_rollout', 'after_rollout', 'before_node', 'after_node'] as const;

/** Under systemd, the users that have a worker host here: of apps, and of hooks. */
export function hostUsers({ http_workers: apps, rollout }: Pick<Config, 'http_workers' | 'rollout'>): string[] {
	const ofHooks = hookNames.flatMap((name) => rollout.hooks[name]?.user ?? []);
	return [...new Set([...apps.map(({ user }) => user ?? appUserDefault), ...ofHooks])];
}

/** ms that the hooks of a node add to its step. */
export function hookMs({ rollout: { hooks } }: Pick<Config, 'rollout'>): [string, number][] {
	return (['before_node', 'after_node'] as const).flatMap((name): [string, number][] => {
		const { timeout = null } = hooks[name] ?? {};
		return timeout === null ? [] : [[`rollout.hooks.${name}.timeout`, timeout]];
	});
}

export function hookConflicts({ rollout }: Config, underSystemd: boolean): Conflict[] {
	return hookNames.flatMap((name): Conflict[] => {
		const hook = rollout.hooks[name];
		if (!hook) return [];
		const at = ['rollout', 'hooks', name];
		const { user } = hook;
		if (user !== undefined && !underSystemd) {
			return [
				{
					at: [[...at, 'user']],
					expected: 'no user, since without systemd every command runs as the user of the daemon',
					got: JSON.stringify(user),
					hint: 'start Rollcall by its systemd units, or take the key out',
				},
			];
		}
		if (!underSystemd) return [];
		const hint =
			'useradd --system --shell /usr/sbin/nologin rollcall-hooks, give it what the command needs, then: rollcall install';
		if (user === undefined) {
			const expected = 'a user, since the command must not run as that of the control plane';
			return [{ at: [[...at, 'user'], at], expected, got: 'none', hint }];
		}
		if (user !== 'root' && user !== controlUser) return [];
		const why =
			user === 'root' ? 'nothing of Rollcall runs as root' : 'the command could read state and use the admin socket';
		return [
			{ at: [[...at, 'user']], expected: `another user than ${user}, since ${why}`, got: JSON.stringify(user), hint },
		];
	});
}
