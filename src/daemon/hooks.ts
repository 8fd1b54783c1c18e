import { messageOf } from '../errors.js';
import type { Config } from '../config/schema.js';
import type { HookRequest } from '../rollout/messages.js';
import type { HookResult } from '../rollout/types.js';
import { plainEnvironmentOf } from '../workers/host/environment.js';
import { commandLinesMax } from '../workers/pm2/health-command.js';
import { releasesOf } from '../workers/pool/rows.js';
import type { Supervisor } from '../workers/types.js';

/** The hooks of this node's configuration. A command is never taken from a peer. */
export interface RunnableHooks {
	node: string;
	hooks: Config['rollout']['hooks'];
}

interface Parts {
	supervisor: Pick<Supervisor, 'commandRunner' | 'rows'>;
	hooks: RunnableHooks;
}

/** Runs the command of a hook in the worker host of its user. Never rejects. */
export async function runHook(
	{ supervisor, hooks: { node, hooks } }: Parts,
	request: HookRequest,
): Promise<HookResult> {
	const hook = hooks[request.hook];
	if (!hook) return { state: 'failed', detail: `is not in the configuration of ${node}` };
	const { command, user = null, timeout: timeoutMs } = hook;
	let run: Awaited<ReturnType<Supervisor['commandRunner']>>;
	try {
		run = await supervisor.commandRunner(user);
	} catch (error) {
		return { state: 'failed', detail: `was not run: ${messageOf(error)}` };
	}
	const env = { ...plainEnvironmentOf(user, process.env), ...ownEnvironment(request, node, supervisor) };
	try {
		const { code, detail } = await run({ command, cwd: '/', env, timeoutMs, lines: commandLinesMax });
		return { state: code === 0 ? 'done' : 'failed', detail };
	} catch (error) {
		// The host ended, or did not answer: the command may run on.
		return { state: 'unknown', detail: messageOf(error) };
	}
}

function ownEnvironment(
	{ hook, rollout, state, note }: HookRequest,
	node: string,
	supervisor: Parts['supervisor'],
): Record<string, string> {
	const releases = Object.entries(releasesOf(supervisor.rows()));
	return {
		ROLLCALL_HOOK: hook,
		ROLLCALL_ROLLOUT: rollout,
		ROLLCALL_NODE: node,
		ROLLCALL_STATE: state,
		ROLLCALL_NOTE: (note ?? '').replace(/\p{Cc}+/gu, ' '),
		ROLLCALL_RELEASE: releases.map(([app, { path, revision }]) => `${app}=${revision ?? path}`).join(' '),
	};
}
