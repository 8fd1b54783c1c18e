/** Whether a release that was proven here can be started again. */
import { statSync } from 'node:fs';
import { RollcallError } from '../../errors.js';
import type { SeenRelease } from '../pm2/releases.js';
import { resolvedFolder, startOf } from '../pool/worker-description.js';
import type { PinnedRelease, PinnedBy, Release, WorkerApp } from '../types.js';
import type { KeptReleases } from './kept-releases.js';

/** What a host says of the scripts of its user; null: it does not answer. */
export type AskHost = (apps: readonly WorkerApp[]) => Promise<SeenRelease[] | null>;

/** The app as it starts from a release that this node has proven. Throws `unavailable` where it has not. */
export function pinnedTo(app: WorkerApp, release: Release, kept: KeptReleases, by: PinnedBy): WorkerApp {
	const proven = kept.find(app.name, release);
	if (proven) {
		const { path, cwd, revision } = proven;
		const { rollout, reason } = by;
		return { ...app, pinned: { path, cwd, revision, rollout, reason } };
	}
	const known = kept.provenOf(app.name).map(nameOf);
	const list = known.length === 0 ? 'it keeps none' : `it keeps ${known.join(', ')}`;
	throw lacks(app, release, `this node does not keep it as a release that it has proven; ${list}`);
}

/** Throws `unavailable` for the first app whose script, or the release that it is put back on, cannot be started now. */
export async function assertStartable(apps: readonly WorkerApp[], ask: AskHost): Promise<void> {
	const missing = apps.find((app) => startOf(app) === null);
	if (missing)
		throw new RollcallError('unavailable', `the script ${missing.script} of ${missing.name} cannot be found`);
	const going = apps.filter(({ pinned }) => pinned);
	for (const user of new Set(going.map((app) => app.user))) {
		const own = going.filter((app) => app.user === user);
		const seen = await ask(own);
		for (const [index, app] of own.entries()) {
			const fault = app.pinned ? faultOf(app, app.pinned, seen?.[index] ?? null) : null;
			if (app.pinned && fault !== null) throw lacks(app, app.pinned, fault);
		}
	}
}

function faultOf({ user }: WorkerApp, { path, cwd, revision }: PinnedRelease, seen: SeenRelease | null): string | null {
	if (isGone(path)) return 'it is gone';
	if (isGone(cwd)) return `its working folder ${cwd} is gone`;
	// Workers of earlier versions were started in the folder as it was named: the links on its way may have been moved on.
	const folder = resolvedFolder(cwd);
	if (folder !== cwd) return `its working folder is known as ${cwd} alone, which leads to ${folder} now`;
	if (seen === null) return 'its worker host does not answer, so it was not looked at; try again';
	if (seen.path !== path) return `a link to ${seen.path} lies there now`;
	const who = user === null ? 'its user' : `user ${user}`;
	if (!seen.readable || (revision !== null && seen.revision === null)) return `${who} cannot read it`;
	if (revision === null || revision === seen.revision) return null;
	return `it was written over: it was ${shown(revision)}, it is ${shown(seen.revision ?? '')}`;
}

function lacks({ name }: WorkerApp, { path }: Release, fault: string): RollcallError {
	return new RollcallError('unavailable', `app ${name} cannot start from ${path}: ${fault}`);
}

/** Nothing lies there. */
export function isGone(path: string): boolean {
	try {
		statSync(path);
		return false;
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		// The app's own user may look where this one may not.
		return code === 'ENOENT' || code === 'ENOTDIR';
	}
}

const nameOf = ({ path, revision }: Release): string => (revision === null ? path : `${path} (${shown(revision)})`);

/** As long as a hash has to be to be told from others. */
const shownCharacters = 24;
const shown = (revision: string): string =>
	revision.length > shownCharacters ? `${revision.slice(0, shownCharacters)}…` : revision;
