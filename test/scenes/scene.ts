import type { Host, SceneFleet } from './fleet.js';
import type { Operator } from './operator.js';

/** A job of the year, or a mishap, on the whole fleet. */
export interface Scene {
	name: string;
	/** What was done, for the table. */
	did: string;
	/** In the run that is part of CI. */
	quick?: true;
	needsClocks?: true;
	/**
	 * `as before`: no worker was replaced, the members are those of the beginning. `done`: what was asked for is so, which
	 * the scene itself looks at.
	 */
	ends: 'as before' | 'done';
	/** How often a node's workers may be replaced: once for each roll that the scene lets complete. */
	rolls: number;
	/** Hosts whose workers the scene itself ends. */
	spoils?: readonly Host[];
	play(stage: Stage): Promise<unknown>;
}

export interface Stage {
	fleet: SceneFleet;
	operator: Operator;
}

/** What a scene came to. */
export interface Outcome {
	scene: Scene;
	/** What did not hold; empty: everything did. */
	broken: string[];
	saw: string;
	exit: number | null;
	commands: number;
	lost: number;
	/** Nodes whose workers were replaced more often than they were rolled. */
	twice: Host[];
	durationMs: number;
}
