/** Which members of a rollout are its targets. */
import type { NodeName, RolloutSpec } from '../types.js';

export const isSelected = ({ unselected }: Pick<RolloutSpec, 'unselected'>, node: NodeName): boolean =>
	!unselected?.includes(node);

/** Why a member is no target, in views. */
export const notSelected = 'not selected';
