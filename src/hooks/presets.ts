/** The presets by the name that a hook gives. `form` is none of them: it is read before it is a notice. */

import type { Preset } from './notice.ts';
import { alertmanager } from './presets/alertmanager.ts';
import { any } from './presets/any.ts';
import { github } from './presets/github.ts';

export type PresetName = 'alertmanager' | 'any' | 'github';

export const PRESETS: Readonly<Record<PresetName, Preset>> = { alertmanager, any, github };
